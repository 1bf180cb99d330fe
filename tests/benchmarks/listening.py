"""One ear for human dubs and ours: the same separator, detector, recogniser and speaker encoder on final tracks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from services.separation.blocks import separate
from services.transcription.round_trip import LISTENING_RMS, SILENT_RMS, plausible
from shared.audio import files
from shared.audio.loudness import speech_loudness
from shared.audio.signal import SPEECH_RATE, decibels, rms, to_mono_16k
from shared.core.records import SAMPLE_RATE
from shared.engines.protocols import Embedder, EngineOptions, WeightFiles, engine_class
from shared.quality.isochrony import isochrony
from shared.quality.prosody import compare_prosody
from shared.quality.shortcut import features, free_blocks
from shared.quality.spans import Times, clip, union
from shared.settings.models import load_settings
from tests.benchmarks.naturalness import Dnsmos

Window = tuple[float, float]
LANGUAGE_SECONDS = 2.0
"""Less speech is not enough to name its language."""
VOICE_SECONDS = 1.0
"""Less speech is not enough to know a voice by."""
BACKGROUND_PAD, BACKGROUND_SECONDS = 0.15, 0.3
"""Speech reaches this much farther than detectors hear; less background than this says nothing."""
EQUAL_DB = -120.0
"""Written for a difference of nothing at all."""


@dataclass(frozen=True)
class Heard:
    """A sound track and what was heard on it; audio ``[channels, samples]`` at 48 kHz, times in seconds."""

    mix: np.ndarray
    vocals: np.ndarray
    activity: Times
    """In the separated vocals."""
    anywhere: Times
    """In the vocals or in the mix."""

    def speech(self, window: Window, vocals: np.ndarray | None = None) -> np.ndarray:
        """The spoken parts of a window one after another."""
        source = self.vocals if vocals is None else vocals
        parts = [
            source[:, round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            for start, end in clip(self.activity, *window)
        ]
        return np.concatenate([source[:, :0], *parts], axis=1)

    def voice(self, window: Window) -> np.ndarray:
        """The voice in a window, silent where nobody speaks, mono 16 kHz."""
        first, last = (round(time * SAMPLE_RATE) for time in window)
        heard = np.zeros_like(self.vocals[:, first:last])
        for start, end in clip(self.activity, *window):
            part = slice(round(start * SAMPLE_RATE) - first, round(end * SAMPLE_RATE) - first)
            heard[:, part] = self.vocals[:, first:last][:, part]
        return to_mono_16k(heard)


@dataclass(frozen=True)
class Comparison:
    """A dub against its original in one window. None where there is too little to judge by."""

    clip: str
    language: str
    iou: float
    overlap: float | None
    onset_error: float | None
    offset_error: float | None
    loudness_difference_lu: float | None
    detected_language: str | None
    speaker_cosine: float | None
    clean_speaker_cosine: float | None
    background_level_db: float | None
    """Level of the dub's background against the original's."""
    background_residual_db: float | None
    """Level of the difference of the two backgrounds against the original's."""
    dnsmos: float | None
    """Overall quality of the dub's separated voice."""
    pitch_correlation: float | None
    energy_correlation: float | None
    pitch_offset: float | None
    pitch_spread: float | None
    source_pitch_spread: float | None
    second_cosine: float | None = None
    """Of the voices, to an encoder that had no part in choosing them (``COUNTERDUB_SECOND_EMBEDDER``)."""


class Listener:
    """Engines of the ``cpu`` profile, loaded once."""

    def __init__(self, weights: WeightFiles) -> None:
        settings = load_settings()

        def engine(kind: str, name: str, model: str = "") -> Any:
            return engine_class(kind, name)(EngineOptions(model=model), weights)

        self.separator = engine("separator", settings.separation.engine, settings.separation.model)
        self.detector = engine("voice_detector", settings.ingest.vad)
        self.recognizer = engine("recognizer", settings.quality.engine, settings.quality.model)
        self.embedder = engine("embedder", settings.quality.embedder)
        second = os.environ.get("COUNTERDUB_SECOND_EMBEDDER")
        self.second = engine("embedder", second) if second else None
        self.dnsmos = Dnsmos(weights)

    def hear(self, sound: Path) -> Heard:
        """Listen to a 48 kHz sound file as a whole; short films only."""
        mix = files.read_audio(sound)
        samples = mix.shape[1]
        pieces = separate(self.separator.vocals, lambda a, b: mix[:, a:b], 0, samples, samples, context=SAMPLE_RATE)
        vocals = np.concatenate(list(pieces), axis=1)
        activity = self.activity(vocals)
        return Heard(mix, vocals, activity, union([*activity, *self.activity(mix)]))

    def plain_text(self, sound: Path) -> str:
        """What the recogniser's library hears by itself, with its defaults."""
        segments = self.recognizer.whole(to_mono_16k(files.read_audio(sound)), None, timed=False)
        return " ".join(segment.text for segment in segments)

    def activity(self, audio: np.ndarray) -> Times:
        return [(span.start, span.end) for span in self.detector.speech(to_mono_16k(audio))]

    def compare(
        self, name: str, language: str, source: Heard, dub: Heard, window: Window, clean: np.ndarray | None = None
    ) -> Comparison | None:
        """None when nobody speaks. ``clean``: the dub's speech stem, ``[channels, samples]``."""
        timing = isochrony(source.activity, dub.activity, *window)
        if timing is None:
            return None
        before, after = source.speech(window), dub.speech(window)
        level, residual = backgrounds(source, dub, window)
        one, other = speech_loudness(before), speech_loudness(after)
        return Comparison(
            clip=name,
            language=language,
            **timing._asdict(),
            loudness_difference_lu=None if one is None or other is None else other - one,
            detected_language=self.language(to_mono_16k(after), language),
            speaker_cosine=cosine(before, after, self.embedder),
            clean_speaker_cosine=None if clean is None else cosine(before, dub.speech(window, clean), self.embedder),
            dnsmos=self.dnsmos.overall(to_mono_16k(after)),
            **compare_prosody(source.voice(window), dub.voice(window))._asdict(),
            background_level_db=level,
            background_residual_db=residual,
            second_cosine=cosine(before, after, self.second) if self.second else None,
        )

    def language(self, speech: np.ndarray, meant: str) -> str | None:
        """The language heard in mono 16 kHz speech, chosen as the quality stage chooses."""
        if len(speech) < LANGUAGE_SECONDS * SPEECH_RATE:
            return None
        loud = speech[: 30 * SPEECH_RATE]
        loud = loud * np.float32(LISTENING_RMS / max(rms(loud), SILENT_RMS))
        chances = plausible(self.recognizer.language(loud), meant)
        return max(chances, key=lambda language: chances[language])


def cosine(one: np.ndarray, other: np.ndarray, embedder: Embedder) -> float | None:
    """Of two voices, ``[channels, samples]`` at 48 kHz; None where too little is said."""
    if min(one.shape[1], other.shape[1]) < VOICE_SECONDS * SAMPLE_RATE:
        return None
    a, b = (embedder.embed(to_mono_16k(audio)) for audio in (one, other))
    return float(a @ b)


def backgrounds(source: Heard, dub: Heard, window: Window) -> tuple[float | None, float | None]:
    """Level of the dub's background and of the difference, dB against the original's, where neither speaks."""
    samples = min(source.mix.shape[1], dub.mix.shape[1])
    first, last = round(window[0] * SAMPLE_RATE), min(round(window[1] * SAMPLE_RATE), samples)
    free = np.ones(last - first, bool)
    for start, end in [*source.anywhere, *dub.anywhere]:
        low, high = (round(time * SAMPLE_RATE) - first for time in (start - BACKGROUND_PAD, end + BACKGROUND_PAD))
        free[max(low, 0) : max(high, 0)] = False
    if free.sum() < BACKGROUND_SECONDS * SAMPLE_RATE:
        return None, None
    before, after = (heard.mix[:, first:last][:, free].mean(axis=0) for heard in (source, dub))
    if rms(before) == 0:
        return None, None
    level, residual = rms(after) / rms(before), rms(after - before) / rms(before)
    return decibels(level), max(decibels(residual), EQUAL_DB)


@dataclass
class Blocks:
    """Speech-free blocks of two kinds of track, pooled over clips for the shortcut probe; a clip is a group."""

    one: list[np.ndarray]
    other: list[np.ndarray]
    groups: list[str]

    def add(self, group: str, one: Heard, other: Heard, windows: Sequence[Window], silent: Iterable[Heard]) -> None:
        """Blocks of ``windows`` where none of ``silent`` speaks; every window is a group of its own."""
        samples = min(one.mix.shape[1], other.mix.shape[1])
        speech = [span for heard in silent for span in heard.anywhere]
        starts, shots = free_blocks(windows, speech, samples)
        for mixes, kept in ((one.mix, self.one), (other.mix, self.other)):
            kept.extend(features(partial(between, mixes), starts))
        self.groups += [f"{group}/{shot}" for shot in shots]


def between(mix: np.ndarray, first: int, last: int) -> np.ndarray:
    return mix[:, first:last]
