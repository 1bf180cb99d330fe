"""Where somebody speaks: from a detector's probabilities to spans, and over files of any length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from shared.audio import files
from shared.audio.signal import to_mono_16k
from shared.core.records import SAMPLE_RATE, Span
from shared.engines.protocols import VoiceDetector

OPEN, CLOSE = 0.5, 0.35
"""Speech begins above the one probability and ends below the other (Silero's own values)."""

MIN_SPEECH, MIN_SILENCE, PAD = 0.25, 0.15, 0.03
"""Seconds: shorter speech is a noise, shorter silence a breath; kept before and after speech."""

BLOCK_SECONDS, CONTEXT_SECONDS = 120, 4
"""A file is listened to in blocks, each with some of its neighbours, so that memory stays bounded."""


def spans_of(probabilities: np.ndarray, step: float, duration: float) -> list[Span]:
    """Spans of speech from one probability for every ``step`` seconds; disjoint, increasing, within ``duration``."""
    spans: list[list[float]] = []
    start: float | None = None
    silent: float | None = None
    for index, probability in enumerate([*probabilities.tolist(), 0.0]):
        time = min(index * step, duration)
        last = index == len(probabilities)
        if probability >= OPEN:
            start = time if start is None else start
            silent = None
        elif start is not None and (probability < CLOSE or last):
            silent = time if silent is None else silent
            if last or time - silent >= MIN_SILENCE:
                if silent - start >= MIN_SPEECH:
                    spans.append([start, silent])
                start = silent = None
    return join([Span(start=max(0.0, a - PAD), end=min(duration, b + PAD)) for a, b in spans])


def join(spans: list[Span]) -> list[Span]:
    """Spans in order with those that touch made one."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(start=joined[-1].start, end=max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def speech_in_file(
    detector: VoiceDetector, path: Path, progress: Callable[[float], None] = lambda _share: None
) -> list[Span]:
    """Speech in a 48 kHz sound file of any length, seconds; memory does not grow with the length."""
    total, _ = files.length(path)
    size, context = BLOCK_SECONDS * SAMPLE_RATE, CONTEXT_SECONDS * SAMPLE_RATE
    spans: list[Span] = []
    for start in range(0, total, size):
        progress(start / total)
        first, end = max(0, start - context), min(total, start + size)
        heard = to_mono_16k(files.read_audio(path, first, min(total, end + context)))
        for span in detector.speech(heard):
            # Each block answers for its own time only.
            begin = max(span.start + first / SAMPLE_RATE, start / SAMPLE_RATE)
            finish = min(span.end + first / SAMPLE_RATE, end / SAMPLE_RATE)
            if finish > begin:
                spans.append(Span(start=begin, end=finish))
    return join(spans)
