"""The gate on separated speech: 1 where somebody speaks, 0 elsewhere, raised-cosine edges between.

Outside the gate nothing is taken out of the mix, so there the background *is* the mix: no dips, and nothing that
tells a dub from the original where nobody speaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from shared.audio.signal import from_decibels
from shared.core.records import SAMPLE_RATE, Span

EDGE = 0.04
"""Seconds that the gate takes to open or to close."""
STEP = 0.01
"""Seconds between the levels that :func:`follow` looks at."""


def merge(spans: Iterable[Span], gap: float = 0.0) -> list[Span]:
    """Union as increasing, disjoint spans; those at most ``gap`` seconds apart become one. Empty spans vanish."""
    out: list[Span] = []
    for span in sorted((span for span in spans if span.end > span.start), key=lambda span: span.start):
        if out and span.start - out[-1].end <= gap:
            out[-1] = Span(start=out[-1].start, end=max(out[-1].end, span.end))
        else:
            out.append(span)
    return out


def pad(spans: Iterable[Span], before: float, after: float | None = None) -> list[Span]:
    """Widen every span by ``before`` and ``after`` (same as ``before`` if absent) seconds; then merge.

    Times before 0 are cut.
    """
    after = before if after is None else after
    return merge(Span(start=max(0.0, span.start - before), end=span.end + after) for span in spans)


def clip(spans: Iterable[Span], start: float, end: float) -> list[Span]:
    """The parts of ``spans`` inside ``[start, end]``."""
    return merge(Span(start=max(span.start, start), end=min(span.end, end)) for span in spans)


def shift(spans: Iterable[Span], seconds: float) -> list[Span]:
    return [Span(start=span.start + seconds, end=span.end + seconds) for span in spans]


def curve(
    spans: Sequence[Span], start: int, stop: int, edge: float = EDGE, sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Gain of samples ``[start, stop)``, float32 in [0, 1].

    1 inside every span, 0 farther than ``edge`` seconds from all of them. A value depends on the spans and on the
    sample's number alone, so ranges computed one by one equal the whole.
    """
    gain = np.zeros(stop - start, np.float32)
    width = max(1, round(edge * sample_rate))
    for span in spans:
        first, last = round(span.start * sample_rate), round(span.end * sample_rate)
        low, high = max(start, first - width), min(stop, last + width)
        if low >= high:
            continue
        at = np.arange(low, high)
        distance = np.maximum(np.maximum(first - at, at - (last - 1)), 0) / width
        rise = (0.5 + 0.5 * np.cos(np.pi * np.minimum(distance, 1))).astype(np.float32)
        np.maximum(gain[low - start : high - start], rise, out=gain[low - start : high - start])
    return gain


def levels(audio: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """RMS over channels of every :data:`STEP` of ``[channels, samples]``; what is left at the end is left out."""
    size = round(STEP * sample_rate)
    power = np.mean(np.square(audio, dtype=np.float32), axis=0)
    levels: np.ndarray = np.sqrt(power[: len(power) // size * size].reshape(-1, size).mean(axis=1))
    return levels


def follow(spans: Sequence[Span], level: np.ndarray, drop_db: float, pause: float, reach: float) -> list[Span]:
    """Widen spans for as long as the voice in them goes on: last syllables, breath and reverberation.

    Args:
        spans: Where somebody is known to speak, seconds from the start of ``level``.
        level: :func:`levels` of the separated vocals.
        drop_db: The voice is there while it is at most this far below its level inside the spans.
        pause: Seconds it may be away and still go on.
        reach: A span grows by no more than this to either side, seconds.
    """
    spans = merge(spans)
    inside = [level[round(span.start / STEP) : round(span.end / STEP)] for span in spans]
    heard = np.concatenate(inside) if inside else level[:0]
    if not len(heard) or not heard.any():
        return spans
    loud = float(np.sqrt(np.mean(np.square(heard, dtype=np.float64))))
    present = level > loud * from_decibels(-drop_db)
    wait, most = round(pause / STEP), round(reach / STEP)

    def grown(window: np.ndarray) -> float:
        """Seconds from the start of ``window`` to where the voice is gone for good."""
        at = np.flatnonzero(window)
        if not len(at) or at[0] > wait:
            return 0.0
        breaks = np.flatnonzero(np.diff(at) > wait + 1)
        return float((at[breaks[0]] if len(breaks) else at[-1]) + 1) * STEP

    out = []
    for span in spans:
        first, last = round(span.start / STEP), round(span.end / STEP)
        back = grown(present[max(0, first - most) : first][::-1])
        on = grown(present[last : last + most])
        out.append(Span(start=max(0.0, span.start - back), end=span.end + on))
    return merge(out)
