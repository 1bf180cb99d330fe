"""The colour of a voice: its long-term spectrum, and moving one voice towards another.

Pitch is left alone: shifting it moves the formants along and made voices less like the speaker (docs/fitting.md).
"""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve, firwin2

from shared.audio.loudness import active_frames
from shared.core.records import SAMPLE_RATE

WINDOW = 2048
BANDS_HZ = 1000.0 * 2.0 ** (np.arange(-10, 11) / 3)
"""Centres of third-octave bands, 99 Hz to 10 kHz."""
FIR_TAPS = 1023


def frames(audio: np.ndarray, size: int, hop: int) -> np.ndarray:
    """Overlapping frames of mono ``audio``, ``[count, size]``; short audio is padded to one frame."""
    if audio.size < size:
        audio = np.pad(audio, (0, size - audio.size))
    return np.lib.stride_tricks.sliding_window_view(audio, size)[::hop]


def band_levels(audio: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray | None:
    """Mean level of the speech-active frames in third-octave bands, dB, ``[21]``; None for silence."""
    blocks = frames(audio, WINDOW, WINDOW // 2)
    active = active_frames(np.square(blocks, dtype=np.float64).mean(axis=1))
    if not active.any():
        return None
    spectrum = (np.abs(np.fft.rfft(blocks[active] * np.hanning(WINDOW), axis=1)) ** 2).mean(axis=0)
    frequencies = np.fft.rfftfreq(WINDOW, 1 / sample_rate)
    levels = []
    for centre in BANDS_HZ:
        inside = (frequencies >= centre * 2 ** (-1 / 3)) & (frequencies < centre * 2 ** (1 / 3))
        levels.append(10 * np.log10(spectrum[inside].mean() + 1e-12))
    return np.array(levels)


def equalise(
    audio: np.ndarray,
    have: np.ndarray,
    want: np.ndarray,
    *,
    limit_db: float = 8.0,
    sample_rate: int = SAMPLE_RATE,
) -> np.ndarray:
    """Filter mono ``audio`` from band levels ``have`` towards ``want``; overall level is not matched here.

    Linear phase with the delay taken out, so that nothing moves in time. At most ``limit_db`` up or down a band.
    """
    step = want - have
    step = np.clip(step - np.median(step), -limit_db, limit_db)
    smooth = np.convolve(np.pad(step, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    points = np.concatenate([[0.0], BANDS_HZ, [sample_rate / 2]]) / (sample_rate / 2)
    gains = 10 ** (np.concatenate([smooth[:1], smooth, smooth[-1:]]) / 20)
    taps = firwin2(FIR_TAPS, points, gains)
    return np.asarray(fftconvolve(audio, taps, mode="full")[FIR_TAPS // 2 :][: audio.size], np.float32)
