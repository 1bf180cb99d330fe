"""Null test: what remains of a track when its speech and the background are taken away. Nothing, if all is well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.audio.files import FULL_SCALE
from shared.audio.lockstep import lockstep
from shared.audio.signal import decibels


class Residual(NamedTuple):
    """What is left, dBFS; −200 when the difference is zero to the last bit."""

    peak_dbfs: float
    rms_dbfs: float
    """Of the largest channel at each moment."""
    window_peaks_dbfs: list[float]
    """The peak inside each asked window."""


def null_test(
    track: Path,
    speech: Path,
    background: Path,
    windows: Sequence[tuple[int, int]] = (),
) -> Residual:
    """Stream ``track − speech − background`` in whole 24-bit steps.

    Args:
        track, speech, background: Sound files of one sample rate, length and channel count.
        windows: Sample ranges ``[start, stop)`` to report one by one, such as shots; any order, overlaps allowed.

    Raises:
        StorageError: ``length_mismatch`` when the files differ in length or channels.
    """
    highest, energy, samples = 0.0, 0.0, 0
    peaks = np.zeros(len(windows))
    order = sorted(range(len(windows)), key=lambda index: windows[index][0])
    for start, (whole, spoken, rest) in lockstep([track, speech, background]):
        difference = whole - spoken - rest
        samples += difference.shape[1]
        if not difference.any():
            continue
        left = np.abs(difference).max(axis=0)
        energy += float(np.square(left, dtype=np.float64).sum())
        highest = max(highest, float(left.max()))
        for index in order:
            low, high = windows[index]
            if low >= start + len(left):
                break
            part = left[max(low - start, 0) : max(high - start, 0)]
            peaks[index] = max(peaks[index], float(part.max(initial=0)))
    rms = (energy / max(samples, 1)) ** 0.5
    return Residual(
        decibels(highest / FULL_SCALE), decibels(rms / FULL_SCALE), [decibels(peak / FULL_SCALE) for peak in peaks]
    )
