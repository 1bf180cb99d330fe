"""A file's sound as it is embedded: one channel, the tower's sample rate, one window's length."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

ZEROS = 6
"""Of the sinc on either side."""
ROLLOFF = 0.99
"""Of the lower Nyquist frequency, where the filter cuts."""


def one_window(wave: np.ndarray, rate: int, sample_rate: int = 48_000, seconds: float = 3.0) -> np.ndarray:
    """The mean of the channels, resampled; its first window, zeros appended if it is shorter.

    Args:
        wave: float32 ``[C, N]``.
        rate: Its sample rate, Hz.
        sample_rate: That of the result, Hz.
        seconds: Length of the result.

    Returns:
        float32 ``[seconds * sample_rate]``.
    """
    length = round(seconds * sample_rate)
    mono = resample(wave.mean(0, dtype=np.float32), rate, sample_rate)[:length]
    return np.pad(mono, (0, length - len(mono)))


def resample(wave: np.ndarray, rate: int, to: int) -> np.ndarray:
    """float32 ``[N]`` at ``rate`` to ``[ceil(N * to / rate)]`` at ``to``: a sinc in a Hann window, the reference's way.

    Embeddings of published checkpoints are compared through this one; the pipeline itself resamples better.
    """
    if rate == to:
        return wave
    divisor = math.gcd(rate, to)
    old, new = rate // divisor, to // divisor
    filters, reach = sinc_filters(old, new)
    padded = functional.pad(torch.from_numpy(wave)[None, None], (reach, reach + old))
    phases = functional.conv1d(padded, filters[:, None], stride=old)
    return phases[0].T.reshape(-1)[: math.ceil(new * len(wave) / old)].numpy()


def sinc_filters(old: int, new: int) -> tuple[torch.Tensor, int]:
    """One filter for each of ``new`` phases, float32 ``[new, 2 * reach + old]``, and how far each reaches."""
    cut = min(old, new) * ROLLOFF
    reach = math.ceil(ZEROS * old / cut)
    places = np.arange(-reach, reach + old)[None, :] / old - np.arange(new)[:, None] / new
    places = np.clip(places * cut, -ZEROS, ZEROS)
    window = np.cos(places * np.pi / ZEROS / 2) ** 2
    return torch.from_numpy(np.sinc(places) * window * cut / old).float(), reach
