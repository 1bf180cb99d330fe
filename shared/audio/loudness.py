"""Loudness of speech: K-weighted as in ITU-R BS.1770, measured only where somebody speaks.

Programme loudness (gated blocks of 0.4 s) is undefined for a short line and moves with its pauses; two versions of one
line are compared on their active frames instead.
"""

from __future__ import annotations

import numpy as np
import pyloudnorm

from shared.audio.signal import from_decibels
from shared.core.records import SAMPLE_RATE

FRAME_SECONDS = 0.02
ACTIVE_BELOW_PEAK_DB = 25.0
"""A frame counts as speech when it is within this of the loud frames (their 95th percentile)."""
ABSOLUTE_GATE_LUFS = -70.0
MAX_BOOST_DB, MAX_CUT_DB = 20.0, 40.0
"""A boost beyond this would lift noise; a cut is harmless, and lines that were nearly inaudible stay so."""


def k_weighted(audio: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """``audio``, mono or ``[channels, samples]``, through the K filter: float64 ``[channels, samples]``."""
    out = np.atleast_2d(audio).astype(np.float64)
    for stage in pyloudnorm.Meter(sample_rate)._filters.values():
        out = np.stack([stage.apply_filter(channel) for channel in out])
    return out


def frame_powers(weighted: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Mean square of every 20 ms, summed over channels; the last short frame is left out unless it is the only one."""
    size = min(int(FRAME_SECONDS * sample_rate), weighted.shape[-1])
    if size == 0:
        return np.zeros(0)
    count = weighted.shape[-1] // size
    squares = np.square(weighted[:, : count * size]).reshape(weighted.shape[0], count, size)
    energies: np.ndarray = squares.mean(axis=2).sum(axis=0)
    return energies


def active_frames(powers: np.ndarray) -> np.ndarray:
    """Which frames carry speech, given their powers."""
    if not powers.size:
        return np.zeros(0, bool)
    floor = max(
        np.percentile(powers, 95) * 10 ** (-ACTIVE_BELOW_PEAK_DB / 10), 10 ** ((ABSOLUTE_GATE_LUFS + 0.691) / 10)
    )
    return np.asarray(powers >= floor)


def speech_loudness(audio: np.ndarray, sample_rate: int = SAMPLE_RATE) -> float | None:
    """LUFS of the speech-active frames; None for silence.

    All channels count with weight 1, as BS.1770 has it for left, right and centre.
    """
    powers = frame_powers(k_weighted(audio, sample_rate), sample_rate)
    active = active_frames(powers)
    return float(-0.691 + 10 * np.log10(powers[active].mean())) if active.any() else None


def gain_to(loudness: float | None, target: float | None) -> float:
    """Linear gain from one loudness to another, within the limits; 1 when either is unknown."""
    if loudness is None or target is None:
        return 1.0
    return from_decibels(float(np.clip(target - loudness, -MAX_CUT_DB, MAX_BOOST_DB)))
