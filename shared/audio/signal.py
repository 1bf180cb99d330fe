"""Small operations that every stage needs: mono, resampling, edges, decibels."""

from __future__ import annotations

import numpy as np
import soxr

from shared.core.records import SAMPLE_RATE

SPEECH_RATE = 16_000
"""Sample rate that speech models listen at, Hz."""


def to_mono(audio: np.ndarray) -> np.ndarray:
    """``[channels, samples]`` → ``[samples]`` by the mean; mono passes."""
    return audio if audio.ndim == 1 else audio.mean(axis=0, dtype=np.float32)


def resample(audio: np.ndarray, source: int, target: int) -> np.ndarray:
    """Band-limited resampling along the last axis; length is ``round(n · target / source)``."""
    if source == target:
        return audio.astype(np.float32, copy=False)
    count = round(audio.shape[-1] * target / source)
    out = np.asarray(soxr.resample(audio.T, source, target), dtype=np.float32).T
    return fit_length(out, count)


def to_mono_16k(audio: np.ndarray, source: int = SAMPLE_RATE) -> np.ndarray:
    """What speech models take: mono at 16 kHz."""
    return resample(to_mono(audio), source, SPEECH_RATE)


def fit_length(audio: np.ndarray, count: int) -> np.ndarray:
    """Cut or pad with zeros at the end to exactly ``count`` samples."""
    have = audio.shape[-1]
    if have >= count:
        return audio[..., :count]
    widths = [(0, 0)] * (audio.ndim - 1) + [(0, count - have)]
    return np.pad(audio, widths)


def fade(audio: np.ndarray, seconds: float, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Raised-cosine edges at both ends, at most half the length each."""
    count = min(int(seconds * sample_rate), audio.shape[-1] // 2)
    if count == 0:
        return audio
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(count, dtype=np.float32) + 0.5) / count)).astype(np.float32)
    out = audio.astype(np.float32, copy=True)
    out[..., :count] *= ramp
    out[..., -count:] *= ramp[::-1]
    return out


def decibels(ratio: float) -> float:
    """Amplitude ratio in dB, −200 for silence."""
    return float(20 * np.log10(max(abs(ratio), 1e-10)))


def from_decibels(db: float) -> float:
    return float(10 ** (db / 20))


def rms(audio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if audio.size else 0.0
