"""The lines of one chunk in one language: speech in its place and a record of every line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.dubbing.casting.reference_selection import of_line
from services.dubbing.casting.timbre import band_levels, equalise
from services.dubbing.casting.title_references import FILE as REFERENCES
from services.dubbing.casting.title_references import read_references
from services.dubbing.post_processing import add, finish
from services.dubbing.synthesis.batching import FAULTS
from services.dubbing.synthesis.chunk_inputs import ChunkLines, load
from services.dubbing.synthesis.islands import Island, line_islands, speech_activity
from services.dubbing.synthesis.line_synthesis import SpokenLine, Voiced, Voicer
from services.dubbing.synthesis.melody import follow_level, line_contour
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
    Speaker,
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
    scene = Scene(
        chunk,
        made_ready(engines, language, settings, work),
        SpeakerSound(chunk, read_references(inputs[REFERENCES]) if REFERENCES in inputs else {}),
        speech_activity(chunk, engines.get("vad")),
        {speaker.id: speaker.median_f0_hz for speaker in read_list(inputs["speakers.json"], Speaker)},
        settings,
        np.zeros_like(chunk.vocals),
    )
    if hasattr(scene.voicer.synthesizer, "synthesize_batch"):
        scene.voicer.announce(coming(scene, translations, members, places))
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
                dub(record, translation, member, scene)
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
        "speech.flac": files.write(work.path("speech.flac"), scene.track),
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
    scene: Scene,
    translations: Mapping[str, Translation],
    members: Sequence[CastMember],
    places: Mapping[str, Span],
) -> list[SpokenLine]:
    """The chunk's lines that will be spoken, in order."""
    voices = {one.speaker: one for one in reversed(members)}
    out = []
    for line in scene.chunk.lines:
        translation = translations.get(line.id)
        if line.status == "dropped" or translation is None or line.speaker not in voices:
            continue
        if translation.status != "failed" and translation.hypotheses:
            try:
                record = blank(line, line.language, places.get(line.id))
                out.append(scene.line(record, translation, voices[line.speaker])[1])
            except FAULTS:
                continue  # It fails when it is its turn, and alone.
    return out


def wordings(translation: Translation) -> tuple[Hypothesis, ...]:
    return tuple(translation.hypotheses[:1] if translation.edited else translation.hypotheses)


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


@dataclass(frozen=True)
class Scene:
    """What the lines of a chunk are spoken with and into."""

    chunk: ChunkLines
    voicer: Voicer
    voices: SpeakerSound
    activity: Sequence[Span]
    pitches: Mapping[str, float | None]
    """Median pitch of each speaker, Hz."""
    settings: DubbingSettings
    track: np.ndarray

    def line(self, record: DubbedUtterance, translation: Translation, member: CastMember) -> tuple[float, SpokenLine]:
        """When a line begins in the title, seconds, and what is to be said."""
        start, islands = line_islands(record, self.chunk, self.activity)
        reference = self.reference(record, start, islands) if self.voicer.needs_reference else None
        contour = None
        if self.settings.prosody_match and getattr(self.voicer.synthesizer, "follows_melody", False):
            contour = line_contour(self.original(start, islands), self.pitches.get(record.speaker))
        return start, SpokenLine(wordings(translation), member.voice, islands, reference, member.gender, contour)

    def reference(self, record: DubbedUtterance, start: float, islands: Sequence[Island]) -> np.ndarray:
        """What an engine that clones or converts is shown of the speaker, mono 16 kHz."""
        if self.settings.reference == "line":
            overlapped = any(line.overlapped for line in self.chunk.lines if line.id == record.id)
            own = of_line(self.original(start, islands))
            if not overlapped and own.size:
                return own
        return self.voices.reference(record.speaker)

    def original(self, start: float, islands: Sequence[Island]) -> np.ndarray:
        """The original line from its onset to its end, mono 48 kHz."""
        last = islands[-1]
        return to_mono(self.chunk.cut(start, start + last.start + last.source))


def dub(record: DubbedUtterance, translation: Translation, member: CastMember, scene: Scene) -> None:
    """Speak one line into the scene's track and write into ``record`` how it went."""
    record.translator = translation.engine
    chunk, settings = scene.chunk, scene.settings
    original = chunk.cut(record.source_start, record.source_end)
    start, line = scene.line(record, translation, member)
    voiced = scene.voicer.speak(line)
    audio = voiced.audio
    if settings.timbre_match:
        audio = match_colour(audio, scene.voices.levels(record.speaker))
    if settings.prosody_match:
        audio = follow_level(audio, scene.original(start, line.islands))
    if settings.room_match:
        audio = add_room(audio, scene.voices.mono(record.speaker))
    done = finish(audio, original, settings.bandwidth_hz, chunk.median_loudness())
    add(scene.track, done.audio, chunk.sample(start))
    describe(record, voiced, start, line)
    record.loudness_lufs, record.source_loudness_lufs = done.loudness, done.source_loudness
    if done.loudness is not None and done.source_loudness is not None:
        record.loudness_difference_lu = done.loudness - done.source_loudness


def describe(record: DubbedUtterance, voiced: Voiced, start: float, line: SpokenLine) -> None:
    takes, placements = voiced.takes, voiced.placements
    seconds = sum(take.seconds for take in takes)
    natural = sum(take.seconds * take.speed for take in takes)
    record.text, record.voice = voiced.text, takes[0].voice
    record.reason = next((take.note for take in takes if take.note), None)
    record.start = start
    record.end = start + voiced.audio.size / SAMPLE_RATE
    record.synthesised_seconds, record.speed, record.attempts = seconds, natural / seconds, voiced.attempts
    record.fit_ratio = natural / sum(island.source for island in line.islands)
    record.stretch = seconds / sum(placement.length for placement in placements)
    overflow = sum(placement.overflow for placement in placements)
    # Less than a sample is rounding, not speech that was lost.
    if overflow > 1 / SAMPLE_RATE:
        record.status, record.reason = "overflow", "too_long"
        record.overflow_ms = 1000 * overflow


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
