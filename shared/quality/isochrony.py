"""Isochrony, does the dub speak when the original speaks: IoU of speech activity, onset and offset error, overlap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from shared.quality.spans import clip, common, total, union


class Isochrony(NamedTuple):
    """How two speech activities agree within a window.

    Attributes:
        iou: Seconds where both speak ÷ seconds where either does.
        overlap: Share of the original's speech during which the dub speaks too; None when the original is silent.
        onset_error: First onset of the dub minus the original's, seconds, positive when late; None if one is silent.
        offset_error: Last offset likewise.
    """

    iou: float
    overlap: float | None
    onset_error: float | None
    offset_error: float | None


def isochrony(
    source: Iterable[tuple[float, float]],
    dub: Iterable[tuple[float, float]],
    start: float = float("-inf"),
    end: float = float("inf"),
) -> Isochrony | None:
    """Compare two span lists, ``(start, end)`` in seconds, inside ``[start, end]``. None when neither speaks there."""
    a, b = union(clip(source, start, end)), union(clip(dub, start, end))
    if not a and not b:
        return None
    both = common(a, b)
    if not a or not b:
        return Isochrony(0.0, 0.0 if a else None, None, None)
    return Isochrony(
        iou=both / (total(a) + total(b) - both),
        overlap=both / total(a),
        onset_error=b[0][0] - a[0][0],
        offset_error=b[-1][1] - a[-1][1],
    )
