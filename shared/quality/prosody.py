"""Does a dub sound as the original sounds at the same time: its melody and its loudness, moment by moment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shared.audio.pitch import FRAME_SECONDS, pitch_contour, smooth_contour
from shared.audio.signal import SPEECH_RATE

FRAME = round(FRAME_SECONDS * SPEECH_RATE)
SMOOTHING = 7
"""Frames, about 0.1 s: single sounds differ between languages, syllables and phrases are compared."""
MIN_FRAMES = 20
"""About 0.3 s: less is no melody."""
RANGE_DB = 40.0
"""Levels farther below the loud moments count as silence."""


class Prosody(NamedTuple):
    """A dub beside its original; None where there is too little to compare.

    Attributes:
        pitch_correlation: Pearson's, of log pitch, over the moments in which both are voiced.
        energy_correlation: Pearson's, of the level in dB, over the moments in which either is heard.
        pitch_offset: Median pitch of the dub above the original's, semitones.
        pitch_spread: Standard deviation of the dub's pitch, semitones.
        source_pitch_spread: Of the original's.
    """

    pitch_correlation: float | None
    energy_correlation: float | None
    pitch_offset: float | None
    pitch_spread: float | None
    source_pitch_spread: float | None


def compare_prosody(source: np.ndarray, dub: np.ndarray) -> Prosody:
    """Compare two mono 16 kHz recordings on one clock, speech without its background."""
    count = min(len(source), len(dub)) // FRAME
    one, other = (semitones(audio)[:count] for audio in (source, dub))
    both = np.isfinite(smooth(one)) & np.isfinite(smooth(other))
    levels = [level(audio)[:count] for audio in (source, dub)]
    heard = (levels[0] > -RANGE_DB) | (levels[1] > -RANGE_DB)
    known = [pitch[np.isfinite(pitch)] for pitch in (one, other)]
    enough = min(map(len, known)) >= MIN_FRAMES
    return Prosody(
        correlation(smooth(one)[both], smooth(other)[both]),
        correlation(levels[0][heard], levels[1][heard]),
        float(np.median(known[1]) - np.median(known[0])) if enough else None,
        float(np.std(known[1])) if enough else None,
        float(np.std(known[0])) if enough else None,
    )


def semitones(audio: np.ndarray) -> np.ndarray:
    """Pitch in semitones above 1 Hz, a value a frame; NaN where nothing is voiced."""
    return np.asarray(12 * np.log2(pitch_contour(audio)))


def smooth(values: np.ndarray) -> np.ndarray:
    """Over about 0.1 s; NaN where the frame itself is not known."""
    return np.where(np.isfinite(values), smooth_contour(values, SMOOTHING), np.nan)


def level(audio: np.ndarray) -> np.ndarray:
    """Level a frame in dB below the loud moments (their 95th percentile), smoothed, not below the range."""
    count = len(audio) // FRAME
    if not count:
        return np.zeros(0)
    powers = np.square(audio[: count * FRAME], dtype=np.float64).reshape(count, FRAME).mean(axis=1)
    powers = np.convolve(powers, np.ones(SMOOTHING) / SMOOTHING, mode="same")
    loud = np.percentile(powers, 95)
    return np.asarray(np.maximum(10 * np.log10(powers / max(loud, 1e-12) + 1e-12), -RANGE_DB))


def correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Pearson's; None for too few values or ones that do not move."""
    if len(one) < MIN_FRAMES or np.std(one) < 1e-9 or np.std(other) < 1e-9:
        return None
    return float(np.corrcoef(one, other)[0, 1])
