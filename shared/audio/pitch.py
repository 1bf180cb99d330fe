"""The height of a voice."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from shared.audio.signal import SPEECH_RATE

LOWEST, HIGHEST = 60.0, 500.0
"""Range of speaking voices, Hz."""
VOICED = 0.5
"""Confidence from which swift-f0 calls a frame voiced."""
MIN_FRAMES = 6
"""About 0.1 s of voiced speech: less says nothing about a voice."""


@lru_cache
def _detector() -> Any:
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1, spin=False)


FRAME_SECONDS = 0.016
"""Between two values of a contour."""


def pitch_contour(audio: np.ndarray) -> np.ndarray:
    """Fundamental frequency of mono 16 kHz speech in Hz, one value each 16 ms; NaN where nothing is voiced.

    By SwiftF0 (Nieradzik, 2508.18440; MIT), whose package carries its 135 kB model.
    """
    if not len(audio):
        return np.zeros(0)
    contour = _detector().detect(audio, SPEECH_RATE, LOWEST, HIGHEST)
    return np.where(contour.confidence >= VOICED, contour.pitch_hz, np.nan)


def smooth_contour(values: np.ndarray, size: int) -> np.ndarray:
    """Moving mean over about ``size`` values of those that are known (not NaN), joined by straight lines elsewhere.

    All NaN where none is known.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(values), np.nan)
    kernel = np.hanning(size + 2)[1:-1]

    def total(series: np.ndarray) -> np.ndarray:
        return np.convolve(series, kernel)[(size - 1) // 2 :][: len(values)]

    weights = total(known.astype(float))
    near = np.flatnonzero(weights > 1e-9)
    means = total(np.where(known, values, 0.0))[near] / weights[near]
    return np.asarray(np.interp(np.arange(len(values)), near, means))


def median_f0(audio: np.ndarray) -> float | None:
    """Median fundamental frequency in Hz of mono 16 kHz speech; None where hardly anything is voiced."""
    contour = pitch_contour(audio)
    pitch = contour[np.isfinite(contour)]
    return float(np.median(pitch)) if len(pitch) >= MIN_FRAMES else None
