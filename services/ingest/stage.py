"""Ingest: look at the file, write its sound, find its shots and its speech, and cut it into chunks."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from services.ingest.segmentation import chunks_of, shortest_shot, shots_between
from shared.audio.vad import speech_in_file
from shared.core import languages
from shared.core.records import SAMPLE_RATE, Note, Probe, write_notes
from shared.engines.protocols import EngineOptions
from shared.media.probing import Wanted, check_limits, origin, probe
from shared.media.sound import Sound, decode_audio
from shared.pipeline.stage import EngineUse, Scope, Stage, Work
from shared.settings.models import IngestSettings, LimitSettings, Section, Settings

log = logging.getLogger(__name__)

TOLD_SECONDS = 0.1
"""Less sound than that lost or made up is not told."""


class IngestOptions(Section):
    """What ingest depends on."""

    ingest: IngestSettings
    limits: LimitSettings
    language: str | None = None
    """What the film speaks, where somebody said so: of several sounds that one is chosen."""


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: IngestOptions, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``source`` → ``probe.json``, ``shots.json``, ``chunks.json``, ``master.flac``, ``speech.json``."""
    source, limits = inputs["source"], settings.limits
    probed = probe(source, limits, within(work, 0.0, 0.05), wanted_streams(settings))
    master = work.path("master.flac")
    sound = decode_audio(source, probed, master, limits, within(work, 0.05, 0.2))
    media = correct_probe(probed, sound)
    check_limits(media, limits)
    if sound.corrupt:
        work.count("corrupt_audio_packets", sound.corrupt)
    cuts = engines["shots"].cuts(source, within(work, 0.2, 0.9))
    zero, end = origin(media), media.video.start + media.video.duration - origin(media)
    shots = shots_between(
        [cut - zero for cut in cuts], end, shortest_shot(settings.ingest.min_shot_frames, media.video.fps)
    )
    speech = speech_in_file(engines["vad"], master, within(work, 0.9, 1.0)) if media.audio else []
    chunks = chunks_of(sound.samples, shots, speech, settings.ingest.chunk_seconds)
    notes = [Note(kind="file", message=text) for text in media.notes] + damage_notes(sound)
    for note in notes:
        log.info("%s", note.message)
    probe_file = work.path("probe.json")
    probe_file.write_text(media.model_dump_json(indent=1), encoding="utf-8")
    return {
        "probe.json": probe_file,
        "master.flac": master,
        "shots.json": write_list(work.path("shots.json"), shots),
        "chunks.json": write_list(work.path("chunks.json"), chunks),
        "speech.json": write_list(work.path("speech.json"), speech),
        "notes.json": write_notes(work.path("notes.json"), notes),
    }


def wanted_streams(settings: IngestOptions) -> Wanted:
    language = languages.code(settings.language) if settings.language else None
    return Wanted(language, settings.ingest.video_stream, settings.ingest.audio_stream)


def damage_notes(sound: Sound) -> list[Note]:
    """Notes of what of the sound could not be used, and how many seconds."""
    messages = []
    if sound.trimmed > TOLD_SECONDS:
        messages.append(f"{sound.trimmed:.2f} s of sound are left out: their times lie in what was heard already.")
    if sound.filled > TOLD_SECONDS:
        messages.append(f"{sound.filled:.2f} s of silence stand for gaps in the sound.")
    if sound.gain_db < -0.05:
        messages.append(
            f"The sound was lowered by {-sound.gain_db:.1f} dB as a whole: its channels mixed down would clip."
        )
    if sound.corrupt:
        messages.append(f"{sound.corrupt} packets of sound could not be decoded; silence stands for them.")
    return [Note(kind="sound_damaged", message=message) for message in messages]


def correct_probe(probed: Probe, sound: Sound) -> Probe:
    """The probe with what only decoding shows: the sound's true start and end, and the master's length."""
    audio = probed.audio
    if audio:
        audio = audio.model_copy(update={"start": sound.start, "duration": sound.end - sound.start})
    return probed.model_copy(update={"audio": audio, "duration": sound.samples / SAMPLE_RATE})


def within(work: Work, low: float, high: float) -> Any:
    """A progress callback for a part of the stage's work."""
    return lambda share: work.progress(low + (high - low) * share)


def write_list(path: Path, records: Sequence[BaseModel]) -> Path:
    path.write_text(json.dumps([record.model_dump() for record in records], indent=0), encoding="utf-8")
    return path


def options(settings: Settings) -> IngestOptions:
    return IngestOptions(ingest=settings.ingest, limits=settings.limits, language=settings.transcription.language)


def engines(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    chosen = {"video_stream": settings.ingest.video_stream, "audio_stream": settings.ingest.audio_stream}
    extra = {"limits": settings.limits.model_dump(), "streams": chosen}
    return {
        "shots": EngineUse("shot_detector", settings.ingest.detector, EngineOptions(extra=extra)),
        "vad": EngineUse("voice_detector", settings.ingest.vad, EngineOptions(threads=1)),
    }


STAGE = Stage(name="ingest", version=4, run=run, settings=options, engines=engines, queue="ingest")
