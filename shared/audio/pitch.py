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


def median_f0(audio: np.ndarray) -> float | None:
    """Median fundamental frequency in Hz of mono 16 kHz speech; None where hardly anything is voiced.

    By SwiftF0 (Nieradzik, 2508.18440; MIT), whose package carries its 135 kB model.
    """
    if not len(audio):
        return None
    contour = _detector().detect(audio, SPEECH_RATE, LOWEST, HIGHEST)
    pitch = contour.pitch_hz[contour.confidence >= VOICED]
    return float(np.median(pitch)) if len(pitch) >= MIN_FRAMES else None
