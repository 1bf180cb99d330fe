"""Events in time: labels at timestamps, events from predictions, and how well they agree with the true ones.

Conventions are HEAR's event tasks' and sed_eval's (Mesaros et al. 2016, doi:10.3390/app6060162): times in
milliseconds; an event is found if one of the same label begins within a collar of it, each counting once, matched so
that as many as possible are found; segments of one second for the error rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import median_filter
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching


class SoundEvent(NamedTuple):
    """One sound: index of its label, start and end in milliseconds."""

    label: int
    start: float
    end: float


def read_events(rows: Sequence[dict[str, Any]], labels: dict[str, int]) -> list[SoundEvent]:
    """Events of one file as HEAR's JSON has them."""
    return [SoundEvent(labels[str(row["label"])], float(row["start"]), float(row["end"])) for row in rows]


def labels_at(timestamps: np.ndarray, events: Sequence[SoundEvent], classes: int) -> np.ndarray:
    """Which classes sound at each time, uint8 ``[timestamps, classes]``; an event includes both its ends."""
    there = np.zeros((len(timestamps), classes), dtype=np.uint8)
    for event in events:
        there[(timestamps >= event.start) & (timestamps <= event.end), event.label] = 1
    return there


def events_from(
    predictions: np.ndarray,
    timestamps: np.ndarray,
    *,
    median_filter_ms: float = 250.0,
    min_duration: float = 125.0,
    threshold: float = 0.5,
) -> list[SoundEvent]:
    """Events from predictions of one file.

    Args:
        predictions: ``[timestamps, classes]``, probabilities.
        timestamps: Milliseconds, rising, equally spaced.
        median_filter_ms: Length of the median filter over time; 0: none.
        min_duration: Shorter events are left out, milliseconds.
        threshold: A class sounds above it.
    """
    if median_filter_ms and len(timestamps) > 1:
        width = round(median_filter_ms / float(np.mean(np.diff(timestamps))))
        if width:
            predictions = median_filter(predictions, size=(width, 1))
    sounds = np.pad(predictions > threshold, ((1, 1), (0, 0))).astype(np.int8)
    change = np.diff(sounds, axis=0)
    events = []
    for label in range(predictions.shape[1]):
        begins, ends = np.flatnonzero(change[:, label] == 1), np.flatnonzero(change[:, label] == -1) - 1
        for begin, end in zip(timestamps[begins], timestamps[ends], strict=True):
            if end - begin >= min_duration:
                events.append(SoundEvent(label, float(begin), float(end)))
    return sorted(events, key=lambda event: event.start)


def matched(
    reference: Sequence[SoundEvent], estimated: Sequence[SoundEvent], collar: float, offset_share: float | None = None
) -> np.ndarray:
    """Counts of one file: int ``[3]``, events that match, reference, estimated.

    Args:
        collar: Milliseconds that starts (and ends) may differ by.
        offset_share: Ends are compared too; they may differ by this share of the true length where that is more.
    """
    if not reference or not estimated:
        return np.array([0, len(reference), len(estimated)])
    one, other = np.array(reference), np.array(estimated)
    # Seconds, as sed_eval compares them: so that a difference of exactly the collar rounds alike.
    fits = (one[:, None, 0] == other[None, :, 0]) & (
        np.abs(one[:, None, 1] / 1000 - other[None, :, 1] / 1000) <= collar / 1000
    )
    if offset_share is not None:
        slack = np.maximum(collar / 1000, offset_share * (one[:, 2] / 1000 - one[:, 1] / 1000))
        fits &= np.abs(one[:, None, 2] / 1000 - other[None, :, 2] / 1000) <= slack[:, None]
    matches = int((maximum_bipartite_matching(csr_matrix(fits)) >= 0).sum())
    return np.array([matches, len(reference), len(estimated)])


def segment_errors(reference: Sequence[SoundEvent], estimated: Sequence[SoundEvent], classes: int) -> np.ndarray:
    """Errors of one file in segments of 1 s: int ``[4]``, substituted, missed, inserted, reference."""
    seconds = max((math.ceil(event.end / 1000) for event in [*reference, *estimated]), default=0)
    rolls = np.zeros((2, seconds, classes), dtype=bool)
    for roll, events in zip(rolls, (reference, estimated), strict=True):
        for event in events:
            roll[math.floor(event.start / 1000) : math.ceil(event.end / 1000), event.label] = True
    truth, estimate = rolls
    missed, inserted = (truth & ~estimate).sum(1), (estimate & ~truth).sum(1)
    both = np.minimum(missed, inserted)
    return np.array([both.sum(), (missed - both).sum(), (inserted - both).sum(), truth.sum()])


def f_measure(counts: np.ndarray) -> float:
    """F1 of summed counts ``[matches, reference, estimated]``; 0 where nothing matches."""
    matches, reference, estimated = (float(count) for count in counts)
    return 2 * matches / (reference + estimated) if matches else 0.0


def error_rate(counts: np.ndarray) -> float:
    """Substituted, missed and inserted segments over the reference's; 0 is perfect, may exceed 1."""
    *wrong, reference = (float(count) for count in counts)
    return sum(wrong) / reference if reference else math.nan


COLLARS: dict[str, tuple[float, float | None]] = {
    "event_onset_200ms_fms": (200.0, None),
    "event_onset_50ms_fms": (50.0, None),
    "event_onset_offset_50ms_20perc_fms": (50.0, 0.2),
}
"""Onset scores by HEAR's names: collar in milliseconds, share of the length that ends may differ by."""

SEGMENT_ERROR_RATE = "segment_1s_er"
"""HEAR's name of the error rate; lower is better."""


def counts_of(name: str, reference: Sequence[SoundEvent], estimated: Sequence[SoundEvent], classes: int) -> np.ndarray:
    """Counts of one file that a score adds up over files."""
    if name == SEGMENT_ERROR_RATE:
        return segment_errors(reference, estimated, classes)
    collar, share = COLLARS[name]
    return matched(reference, estimated, collar, share)


def event_score(name: str, counts: np.ndarray) -> float:
    """A score from counts summed over files."""
    return error_rate(counts) if name == SEGMENT_ERROR_RATE else f_measure(counts)
