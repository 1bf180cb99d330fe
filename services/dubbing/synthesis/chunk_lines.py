"""The lines of one chunk in one language: speech in its place and a record of every line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.dubbing.casting.timbre import band_levels, equalise
from services.dubbing.casting.title_references import FILE as REFERENCES
from services.dubbing.casting.title_references import read_references
from services.dubbing.post_processing import active_range, add, finish
from services.dubbing.synthesis.batching import FAULTS
from services.dubbing.synthesis.chunk_inputs import ChunkLines, load
from services.dubbing.synthesis.line_synthesis import SpokenLine, Voiced, Voicer
from services.dubbing.synthesis.room import add_room
from services.dubbing.synthesis.slots import slots
from services.dubbing.synthesis.speech_check import Fallback, Guard
from shared.audio import files
from shared.audio.signal import to_mono
from shared.core.errors import CounterdubError, EngineError
from shared.core.records import (
    SAMPLE_RATE,
    CastMember,
    DubbedUtterance,
    Hypothesis,
    Shot,
    Span,
    Translation,
    Utterance,
    read_jsonl,
    read_list,
    write_jsonl,
)
from shared.pipeline.stage import Scope, Work
from shared.settings.models import DubbingSettings

NOBODY = np.zeros(0, np.float32)
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
    voicer = made_ready(engines, language, settings, work)
    voices = SpeakerSound(chunk, read_references(inputs[REFERENCES]) if REFERENCES in inputs else {})
    if hasattr(voicer.synthesizer, "synthesize_batch"):
        voicer.announce(coming(chunk, translations, members, places))
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
                dub(record, translation, chunk, voicer, voices, member, settings=settings, track=track)
            except EngineError as error:
                if error.code in {"engine_missing", "weights_missing"}:
                    raise
                record.status, record.reason = "failed", error.code
            except CounterdubError:
                raise
            except FAULTS as error:
                record.status, record.reason = "failed", f"engine_failed: {type(error).__name__}"
        work.count(record.status)
        records.append(record)
    return {
        "speech.flac": files.write(work.path("speech.flac"), track),
        "dubbed.jsonl": write_jsonl(work.path("dubbed.jsonl"), records),
    }


def made_ready(engines: Mapping[str, Any], language: str, settings: DubbingSettings, work: Work) -> Voicer:
    synthesizer, other = engines["synthesizer"], engines.get("fallback")
    guard = None
    if getattr(synthesizer, "generative", False):
        guard = Guard(settings.guard, language, engines.get("recognizer"))
    voices = other.voices(language) if other is not None else []
    fallback = Fallback(str(settings.guard.fallback), other, voices) if voices else None
    return Voicer(synthesizer, engines.get("converter"), language, settings, work, guard, fallback)


def coming(
    chunk: ChunkLines,
    translations: Mapping[str, Translation],
    members: Sequence[CastMember],
    places: Mapping[str, Span],
) -> list[SpokenLine]:
    """The chunk's lines that will be spoken, in order."""
    voices = {one.speaker: one.voice for one in reversed(members)}
    out = []
    for line in chunk.lines:
        translation = translations.get(line.id)
        if line.status == "dropped" or translation is None or line.speaker not in voices:
            continue
        if translation.status != "failed" and translation.hypotheses:
            try:
                _, source, slot = room(blank(line, line.language, places.get(line.id)), chunk)
            except FAULTS:
                continue  # It fails when it is its turn, and alone.
            out.append(SpokenLine(wordings(translation), voices[line.speaker], source, slot))
    return out


def wordings(translation: Translation) -> list[Hypothesis]:
    return translation.hypotheses[:1] if translation.edited else list(translation.hypotheses)


def room(record: DubbedUtterance, chunk: ChunkLines) -> tuple[float, float, float]:
    """Where the original really begins, how long it speaks, and how long the dub may: seconds."""
    onset, source = source_activity(chunk.cut(record.source_start, record.source_end))
    start = record.source_start + onset
    return start, source, record.slot_end - start


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
    member: CastMember,
    *,
    settings: DubbingSettings,
    track: np.ndarray,
) -> None:
    """Speak one line into ``track`` and write into ``record`` how it went."""
    record.translator = translation.engine
    original = chunk.cut(record.source_start, record.source_end)
    start, source, slot = room(record, chunk)
    needed = voicer.converter is not None or getattr(voicer.synthesizer, "clones", False)
    reference = voices.reference(record.speaker) if needed else NOBODY
    voiced = voicer.speak(wordings(translation), str(record.voice), source, slot, reference, member.gender)
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
    record.text, record.voice, record.reason = take.text, take.voice, take.note
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
    """What the original speakers of a chunk sound like, gathered when first asked for.

    Args:
        references: Speaker → what engines that clone are shown, of the whole title; see
            :mod:`services.dubbing.casting.title_references`.
    """

    def __init__(self, chunk: ChunkLines, references: Mapping[str, np.ndarray]) -> None:
        self._chunk = chunk
        self._references = references
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
        """Mono 16 kHz; empty when there is none."""
        return self._references.get(speaker, NOBODY)
