"""Mel power spectrograms as librosa makes them (Slaney's scale, area-normalised), without librosa."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def hertz_to_mel(hertz: np.ndarray) -> np.ndarray:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    linear = hertz * 3 / 200
    logarithmic = 15 + 27 * np.log(np.maximum(hertz, 1e-3) / 1000) / np.log(6.4)
    return np.where(hertz < 1000, linear, logarithmic)


def mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) * (mel - 15) / 27))


@lru_cache
def filters(sample_rate: int, size: int, bands: int) -> np.ndarray:
    """Triangles over 0 – Nyquist, float32 ``[bands, size // 2 + 1]``, each of the same area."""
    bins = np.fft.rfftfreq(size, 1 / sample_rate)
    top = hertz_to_mel(np.array(sample_rate / 2))
    corners = mel_to_hertz(np.linspace(0, top, bands + 2))
    left, centre, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    triangles = np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))
    scaled: np.ndarray = (triangles * 2 / (right - left)).astype(np.float32)
    return scaled


def mel_power(audio: np.ndarray, sample_rate: int, size: int, hop: int, bands: int) -> np.ndarray:
    """``[samples]`` → power ``[samples // hop + 1, bands]`` float32; periodic Hann window, zeros beyond both ends."""
    padded = np.pad(audio.astype(np.float32, copy=False), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=-1)) ** 2
    mel: np.ndarray = (power @ filters(sample_rate, size, bands).T).astype(np.float32)
    return mel
