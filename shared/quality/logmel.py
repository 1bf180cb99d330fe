"""Log-mel statistics of short blocks: what a classifier sees that looks for a trace of the processing."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from shared.core.records import SAMPLE_RATE

BLOCK_SAMPLES = int(0.3 * SAMPLE_RATE)
MELS, WINDOW, HOP = 64, 1024, 480
FLOOR = 1e-10
"""Power that counts as silence, −100 dB: the floor of the usual power-to-dB scale."""


@lru_cache
def mel_bank(mels: int = MELS, window: int = WINDOW, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Triangular filters on the HTK mel scale from 0 Hz to Nyquist, ``[mels, window // 2 + 1]``, peak 1."""
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    bins = np.arange(window // 2 + 1) * sample_rate / window
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bank = np.clip(np.minimum(rise, fall), 0, None)
    # The lowest filters are narrower than a bin and would be empty: they take the nearest one.
    for row in np.flatnonzero(bank.sum(axis=1) == 0):
        bank[row, round(float(edges[row + 1]) * window / sample_rate)] = 1.0
    return bank.astype(np.float32)


def block_features(block: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over time of each mel band in dB, ``[128]``, of mono 48 kHz ``[samples]``."""
    frames = np.lib.stride_tricks.sliding_window_view(block, WINDOW)[::HOP] * np.hanning(WINDOW).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / WINDOW
    mel = 10 * np.log10(np.maximum(power @ mel_bank().T, FLOOR))
    return np.concatenate([mel.mean(axis=0), mel.std(axis=0)]).astype(np.float32)
