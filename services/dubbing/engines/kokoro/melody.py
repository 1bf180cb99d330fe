"""The pitch curve of a line moved towards a melody: its level and its slow movement, its accents kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.audio.pitch import smooth_contour

VOICED_HZ = 40.0
"""The model plans less where nothing is voiced."""
SHARE, LIMIT_SEMITONES = 0.5, 2.5
"""How much of the way the curve is moved, and at most; measured by what it costs in words and quality."""
SLOW_FRAMES = 24
"""Half frames, 0.3 s: what is slower is melody, what is faster the sounds of words."""
ACCENTED = {"ja": 96}
"""Half frames, 1.2 s, where the pitch of a word tells it from others: only what phrases do is moved."""


def pitch_factors(
    planned: np.ndarray, parts: Sequence[slice], melodies: Sequence[Sequence[float]], language: str
) -> np.ndarray:
    """Factor on each value of a planned pitch curve.

    Args:
        planned: Hz a half frame.
        parts: Where each phrase sounds.
        melodies: For each phrase semitones from the speaker's median, evenly over its length; empty to leave it.
    """
    factors = np.ones(len(planned))
    voiced = planned > VOICED_HZ
    if not voiced.any():
        return factors
    usual = 12 * np.log2(np.median(planned[voiced]))
    size = ACCENTED.get(language, SLOW_FRAMES)
    for part, melody in zip(parts, melodies, strict=True):
        here = voiced[part]
        if not melody or not here.any():
            continue
        own = np.where(here, 12 * np.log2(np.maximum(planned[part], VOICED_HZ)) - usual, np.nan)
        wanted = np.interp(np.linspace(0, len(melody) - 1, len(own)), np.arange(len(melody)), melody)
        step = smooth_contour(np.where(here, wanted - own, np.nan), size)
        factors[part] = 2 ** (np.clip(SHARE * step, -LIMIT_SEMITONES, LIMIT_SEMITONES) / 12)
    return factors
