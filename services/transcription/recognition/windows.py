"""Which stretches of sound the recogniser hears at once: at most 30 s, cut where nobody speaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soxr

from shared.audio import files
from shared.audio.signal import SPEECH_RATE, fit_length, to_mono
from shared.core.records import SAMPLE_RATE, Span

MAX_WINDOW_SECONDS = 28.0
"""Whisper hears 30 s; the rest is padding."""
LONG_PAUSE_SECONDS = 3.0
"""Over longer silence or music the recogniser tends to invent text, so no window spans it."""
PAD_SECONDS = 0.25
BLOCK = 10 * SAMPLE_RATE


def read_speech(path: Path, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Samples ``[start, stop)`` of a 48 kHz file as mono 16 kHz, resampled in blocks: memory for the result only."""
    if stop is None:
        stop = files.length(path)[0]
    stream = soxr.ResampleStream(SAMPLE_RATE, SPEECH_RATE, 1, dtype="float32")
    parts = [np.zeros(0, dtype=np.float32)]
    for at in range(start, stop, BLOCK):
        block = to_mono(files.read_audio(path, at, min(at + BLOCK, stop)))
        parts.append(stream.resample_chunk(np.ascontiguousarray(block), last=at + BLOCK >= stop))
    return fit_length(np.concatenate(parts), round((stop - start) * SPEECH_RATE / SAMPLE_RATE))


def cut(audio: np.ndarray, span: Span, pad: float = 0.0) -> np.ndarray:
    """The samples of ``span`` ± ``pad`` seconds in mono 16 kHz ``audio``; shorter at its edges."""
    first = max(0, round((span.start - pad) * SPEECH_RATE))
    return audio[first : max(first, round((span.end + pad) * SPEECH_RATE))]


def union(spans: Iterable[Span], gap: float = 0.0) -> list[Span]:
    """Increasing, disjoint spans that cover the same time; those less than ``gap`` apart become one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if merged and span.start <= merged[-1].end + gap:
            merged[-1] = Span(start=merged[-1].start, end=max(merged[-1].end, span.end))
        elif span.end > span.start:
            merged.append(Span(start=span.start, end=span.end))
    return merged


def within(spans: Iterable[Span], start: float, end: float) -> list[Span]:
    """The parts of ``spans`` inside ``[start, end]``, on the clock that is 0 at ``start``."""
    clipped = [(max(span.start, start) - start, min(span.end, end) - start) for span in spans]
    return [Span(start=first, end=last) for first, last in clipped if last > first]


def covered(spans: Iterable[Span], start: float, end: float) -> float:
    """Seconds of ``[start, end]`` that disjoint ``spans`` cover."""
    return sum(max(0.0, min(span.end, end) - max(span.start, start)) for span in spans)


def quietest(audio: np.ndarray, start: float, end: float, step: float = 0.1) -> float:
    """The middle of the quietest 0.1 s of mono 16 kHz ``audio`` between two times, seconds."""
    size = round(step * SPEECH_RATE)
    first = round(start * SPEECH_RATE)
    stretch = audio[first : round(end * SPEECH_RATE)]
    count = len(stretch) // size
    if count == 0:
        return (start + end) / 2
    energy = np.square(stretch[: count * size].reshape(count, size)).sum(axis=1)
    return start + (int(energy.argmin()) + 0.5) * step


def windows(speech: Sequence[Span], audio: np.ndarray) -> list[Span]:
    """Group speech into windows of at most :data:`MAX_WINDOW_SECONDS`, each a little wider than its speech.

    Args:
        speech: Increasing, disjoint, seconds on the clock of ``audio``.
        audio: Mono 16 kHz, to find a quiet moment in speech that goes on for longer than a window.
    """
    pieces: list[Span] = []
    for span in speech:
        start = span.start
        while span.end - start > MAX_WINDOW_SECONDS:
            end = quietest(audio, start + 0.7 * MAX_WINDOW_SECONDS, start + MAX_WINDOW_SECONDS)
            pieces.append(Span(start=start, end=end))
            start = end
        pieces.append(Span(start=start, end=span.end))
    groups: list[Span] = []
    for piece in pieces:
        near = groups and piece.start - groups[-1].end <= LONG_PAUSE_SECONDS
        if near and piece.end - groups[-1].start <= MAX_WINDOW_SECONDS:
            groups[-1] = Span(start=groups[-1].start, end=piece.end)
        else:
            groups.append(piece)
    duration = len(audio) / SPEECH_RATE
    padded = []
    for i, group in enumerate(groups):
        before = groups[i - 1].end if i else 0.0
        after = groups[i + 1].start if i + 1 < len(groups) else duration
        start = max(group.start - PAD_SECONDS, (before + group.start) / 2 if i else 0.0)
        padded.append(Span(start=start, end=min(group.end + PAD_SECONDS, (group.end + after) / 2, duration)))
    return padded
