"""Arithmetic of time spans: union, overlap, clipping. A span is ``(start, end)`` in seconds."""

from __future__ import annotations

from collections.abc import Iterable

Times = list[tuple[float, float]]


def union(spans: Iterable[tuple[float, float]]) -> Times:
    """The same time as increasing, disjoint, non-empty spans."""
    joined: Times = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def clip(spans: Iterable[tuple[float, float]], start: float, end: float) -> Times:
    """The parts of ``spans`` inside ``[start, end]``."""
    parts = ((max(a, start), min(b, end)) for a, b in spans)
    return [(a, b) for a, b in parts if b > a]


def total(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds covered; overlapping spans count once."""
    return sum(end - start for start, end in union(spans))


def common(one: Iterable[tuple[float, float]], other: Iterable[tuple[float, float]]) -> float:
    """Seconds covered by both."""
    a, b = union(one), union(other)
    seconds, i, j = 0.0, 0, 0
    while i < len(a) and j < len(b):
        seconds += max(0.0, min(a[i][1], b[j][1]) - max(a[i][0], b[j][0]))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return seconds
