"""Ingest: look at the file, write its sound, find its shots and its speech, and cut it into chunks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from services.ingest.cutting import chunks_of, shots_between
from shared.audio.vad import speech_in_file
from shared.engines import EngineOptions
from shared.media.probing import check, origin, probe
from shared.media.sound import Sound, decode_audio
from shared.pipeline.stage import EngineUse, Scope, Stage, Work
from shared.records import SAMPLE_RATE, Probe
from shared.settings import IngestSettings, LimitSettings, Section, Settings


class IngestOptions(Section):
    """What ingest depends on."""

    ingest: IngestSettings
    limits: LimitSettings


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: IngestOptions, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``source`` → ``probe.json``, ``shots.json``, ``chunks.json``, ``master.flac``, ``speech.json``."""
    source, limits = inputs["source"], settings.limits
    looked = probe(source, limits, within(work, 0.0, 0.05))
    master = work.path("master.flac")
    sound = decode_audio(source, looked, master, limits, within(work, 0.05, 0.2))
    found = settled(looked, sound)
    check(found, limits)
    if sound.corrupt:
        work.count("corrupt_audio_packets", sound.corrupt)
    cuts = engines["shots"].cuts(source, within(work, 0.2, 0.9))
    zero, end = origin(found), found.video.start + found.video.duration - origin(found)
    shots = shots_between([cut - zero for cut in cuts], end, settings.ingest.min_shot_frames / found.video.fps)
    speech = speech_in_file(engines["vad"], master, within(work, 0.9, 1.0)) if found.audio else []
    chunks = chunks_of(sound.samples, shots, speech, settings.ingest.chunk_seconds)
    probe_file = work.path("probe.json")
    probe_file.write_text(found.model_dump_json(indent=1), encoding="utf-8")
    return {
        "probe.json": probe_file,
        "master.flac": master,
        "shots.json": write_list(work.path("shots.json"), shots),
        "chunks.json": write_list(work.path("chunks.json"), chunks),
        "speech.json": write_list(work.path("speech.json"), speech),
    }


def settled(looked: Probe, sound: Sound) -> Probe:
    """The probe with what decoding taught: the sound's true start and end, and the master's length."""
    audio = looked.audio
    if audio:
        audio = audio.model_copy(update={"start": sound.start, "duration": sound.end - sound.start})
    return looked.model_copy(update={"audio": audio, "duration": sound.samples / SAMPLE_RATE})


def within(work: Work, low: float, high: float) -> Any:
    """A progress callback for a part of the stage's work."""
    return lambda share: work.progress(low + (high - low) * share)


def write_list(path: Path, records: Sequence[BaseModel]) -> Path:
    path.write_text(json.dumps([record.model_dump() for record in records], indent=0), encoding="utf-8")
    return path


def options(settings: Settings) -> IngestOptions:
    return IngestOptions(ingest=settings.ingest, limits=settings.limits)


def engines(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    extra = {"limits": settings.limits.model_dump()}
    return {
        "shots": EngineUse("shot_detector", settings.ingest.detector, EngineOptions(extra=extra)),
        "vad": EngineUse("voice_detector", settings.ingest.vad, EngineOptions(threads=1)),
    }


STAGE = Stage(name="ingest", version=1, run=run, settings=options, engines=engines, queue="ingest")
