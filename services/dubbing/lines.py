"""The lines of one chunk in one language: speech in its place and a record of every line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from services.dubbing.chunks import ChunkLines, load, read_list
from services.dubbing.finishing import active_range, add, finish
from services.dubbing.slots import slots
from services.dubbing.voicing import Voiced, Voicer
from shared.audio import files
from shared.audio.room import add_room
from shared.audio.signal import SPEECH_RATE, to_mono, to_mono_16k
from shared.audio.timbre import band_levels, equalise
from shared.errors import CounterdubError, EngineError
from shared.pipeline.stage import Scope, Work
from shared.records import (
    SAMPLE_RATE,
    CastMember,
    DubbedUtterance,
    Shot,
    Span,
    Translation,
    Utterance,
    read_jsonl,
    write_jsonl,
)
from shared.settings import DubbingSettings

REFERENCE_SECONDS = 12.0
MIN_TIMBRE_SECONDS = 1.0
"""Less of a speaker's voice says too little about its long-term spectrum."""


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: DubbingSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """Every utterance of the chunk appears in ``dubbed.jsonl``; a line that fails does not stop the others.

    Raises:
        CounterdubError: Only for what concerns all lines: files, cancellation, an engine that is not installed.
    """
    language = str(scope.language)
    chunk = load(scope, inputs)
    translations = {line.utterance: line for line in read_jsonl(inputs["translations.jsonl"], Translation)}
    members = read_list(inputs["cast.json"], CastMember)
    shots = read_list(inputs["shots.json"], Shot)
    spoken = [line for line in chunk.everyone if line.status == "ok"]
    places = dict(zip((line.id for line in spoken), slots(spoken, shots, chunk.end, settings.fit), strict=True))
    voicer = Voicer(engines["synthesizer"], engines.get("converter"), language, settings, work)
    voices = SpeakerSound(chunk)
    track = np.zeros_like(chunk.vocals)
    records = []
    for number, line in enumerate(chunk.lines):
        work.progress(number / len(chunk.lines))
        record = blank(line, language, places.get(line.id))
        member = next((one for one in members if one.speaker == line.speaker), None)
        translation = translations.get(line.id)
        if line.status == "dropped":
            record.status, record.reason = "dropped", line.reason or "dropped"
        elif translation is None or translation.status == "failed" or not translation.hypotheses:
            record.status, record.reason = "failed", (translation and translation.reason) or "no_translation"
        elif member is None:
            record.status, record.reason = "failed", "no_voice"
        else:
            record.voice, record.edited = member.voice, translation.edited
            record.text = translation.hypotheses[0].text
            try:
                dub(record, translation, chunk, voicer, voices, settings=settings, track=track)
            except EngineError as error:
                if error.code in {"engine_missing", "weights_missing"}:
                    raise
                record.status, record.reason = "failed", error.code
            except CounterdubError:
                raise
            # Whatever a model throws at one line must not cost the others.
            except (RuntimeError, ValueError, IndexError, ArithmeticError) as error:
                record.status, record.reason = "failed", f"engine_failed: {type(error).__name__}"
        work.count(record.status)
        records.append(record)
    return {
        "speech.flac": files.write(work.path("speech.flac"), track),
        "dubbed.jsonl": write_jsonl(work.path("dubbed.jsonl"), records),
    }


def blank(line: Utterance, language: str, slot: Span | None) -> DubbedUtterance:
    """The record of a line of which nothing has been placed."""
    slot = slot or Span(start=line.start, end=line.end)
    return DubbedUtterance(
        id=line.id,
        speaker=line.speaker,
        language=language,
        source_text=line.text,
        text="",
        start=line.start,
        end=line.start,
        source_start=line.start,
        source_end=line.end,
        slot_start=slot.start,
        slot_end=slot.end,
    )


def dub(
    record: DubbedUtterance,
    translation: Translation,
    chunk: ChunkLines,
    voicer: Voicer,
    voices: SpeakerSound,
    *,
    settings: DubbingSettings,
    track: np.ndarray,
) -> None:
    """Speak one line into ``track`` and write into ``record`` how it went."""
    original = chunk.cut(record.source_start, record.source_end)
    onset, source = source_activity(original)
    start = record.source_start + onset
    slot = record.slot_end - start
    wordings = translation.hypotheses[:1] if translation.edited else list(translation.hypotheses)
    voiced = voicer.speak(wordings, str(record.voice), source, slot, voices.reference(record.speaker))
    audio = voiced.audio
    if settings.timbre_match:
        audio = match_colour(audio, voices.levels(record.speaker))
    if settings.room_match:
        audio = add_room(audio, voices.mono(record.speaker))
    done = finish(audio, original, settings.bandwidth_hz, chunk.median_loudness())
    add(track, done.audio, chunk.sample(start))
    describe(record, voiced, start, source)
    record.loudness_lufs, record.source_loudness_lufs = done.loudness, done.source_loudness
    if done.loudness is not None and done.source_loudness is not None:
        record.loudness_difference_lu = done.loudness - done.source_loudness


def describe(record: DubbedUtterance, voiced: Voiced, start: float, source: float) -> None:
    take, placement = voiced.take, voiced.placement
    record.text = take.text
    record.start = start
    record.end = start + voiced.audio.size / SAMPLE_RATE
    record.synthesised_seconds, record.speed, record.attempts = take.seconds, take.speed, voiced.attempts
    record.fit_ratio = take.seconds * take.speed / source
    record.stretch = placement.stretch
    # Less than a sample is rounding, not speech that was lost.
    if placement.overflow > 1 / SAMPLE_RATE:
        record.status, record.reason = "overflow", "too_long"
        record.overflow_ms = 1000 * placement.overflow


def source_activity(original: np.ndarray) -> tuple[float, float]:
    """Where in the original line somebody really speaks: onset and length, seconds.

    Word times of recognisers reach into the silence around; what is seen is when the mouth moves.
    """
    whole = original.shape[1] / SAMPLE_RATE
    first, last = active_range(original, SAMPLE_RATE, below_peak_db=30.0)
    length = (last - first) / SAMPLE_RATE
    if length < 0.5 * whole:
        return 0.0, whole
    return first / SAMPLE_RATE, length


def match_colour(audio: np.ndarray, want: np.ndarray | None) -> np.ndarray:
    have = band_levels(audio)
    return audio if have is None or want is None else equalise(audio, have, want)


class SpeakerSound:
    """What the original speakers of a chunk sound like, gathered when first asked for."""

    def __init__(self, chunk: ChunkLines) -> None:
        self._chunk = chunk
        self._mono: dict[str, np.ndarray] = {}
        self._levels: dict[str, np.ndarray | None] = {}

    def mono(self, speaker: str) -> np.ndarray:
        """All lines of a speaker without overlap, one after another, mono 48 kHz."""
        if speaker not in self._mono:
            own = [line for line in self._chunk.lines if line.speaker == speaker and line.status == "ok"]
            clean = [line for line in own if not line.overlapped] or own
            parts = [to_mono(self._chunk.cut(line.start, line.end)) for line in clean]
            self._mono[speaker] = np.concatenate(parts or [np.zeros(0, np.float32)])
        return self._mono[speaker]

    def levels(self, speaker: str) -> np.ndarray | None:
        """Long-term spectrum; None when there is too little speech."""
        if speaker not in self._levels:
            sound = self.mono(speaker)
            enough = sound.size >= MIN_TIMBRE_SECONDS * SAMPLE_RATE
            self._levels[speaker] = band_levels(sound) if enough else None
        return self._levels[speaker]

    def reference(self, speaker: str) -> np.ndarray:
        """Up to 12 s for engines that clone, mono 16 kHz."""
        return to_mono_16k(self.mono(speaker))[: int(REFERENCE_SECONDS * SPEECH_RATE)]
