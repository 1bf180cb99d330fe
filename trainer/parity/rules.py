"""Weights, inputs and signals by rule: the same numbers anywhere, from a name and a seed.

``numpy``'s PCG64 seeded with the crc32 of the name, exclusive-or the seed; the folder's README has the rules in full.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch


class Statistics(NamedTuple):
    """Where running statistics of batch norms lie."""

    mean: float
    spread: float
    """Of the means."""
    variance: float


VIDEO, AUDIO, PLAIN = Statistics(0.45, 0.05, 0.08), Statistics(-40, 4, 400), Statistics(0, 0.1, 1)


def generator(name: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) ^ seed))


def weight(key: str, shape: Sequence[int], statistics: Statistics, seed: int) -> np.ndarray:
    """The value of one key of a state dict, float32 (int64 for a counter)."""
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    normal = generator(key, seed).standard_normal(shape).astype(np.float32)
    if last == "running_mean":
        return normal * np.float32(statistics.spread) + np.float32(statistics.mean)
    if last == "running_var":
        return (np.abs(normal) * np.float32(0.1) + np.float32(1)) * np.float32(statistics.variance)
    if last == "weight" and len(shape) == 1:
        return normal * np.float32(0.1) + np.float32(1)
    if last == "weight":
        return normal * np.float32(1 / np.sqrt(np.prod(shape[1:])))
    return normal * np.float32(0.1)


def weights(state: Mapping[str, torch.Tensor], statistics: Statistics, seed: int) -> dict[str, np.ndarray]:
    return {key: weight(key, tuple(value.shape), statistics, seed) for key, value in state.items()}


def checksum(values: Mapping[str, np.ndarray]) -> int:
    """crc32 over the raw bytes of all arrays, by key; may differ between platforms, so it is a hint only."""
    crc = 0
    for key in sorted(values):
        crc = zlib.crc32(np.ascontiguousarray(values[key]).tobytes(), crc)
    return crc


def picture(seed: int) -> np.ndarray:
    return generator("input.video", seed).random((2, 3, 16, 224, 224)).astype(np.float32)


def spectrogram(seed: int) -> np.ndarray:
    normal = generator("input.audio", seed).standard_normal((2, 1, 96, 288)).astype(np.float32)
    return normal * np.float32(20) - np.float32(40)


def patchwork(name: str, small: Sequence[int], full: Sequence[int], seed: int) -> np.ndarray:
    """Coarse patches and fine noise, for the convolutional towers."""
    source = generator(name, seed)
    coarse = source.standard_normal(small).astype(np.float32)
    for axis, (few, many) in enumerate(zip(small, full, strict=True)):
        coarse = np.repeat(coarse, many // few, axis)
    fine = source.standard_normal(full).astype(np.float32)
    return np.float32(2) * coarse + np.float32(0.5) * fine


def signals(seed: int) -> dict[str, tuple[np.ndarray, int]]:
    """Sounds by name: float32 ``[C, N]`` and sample rate."""
    p, q = generator("audio.params", seed).random(8), generator("audio.resample", seed).random(8)
    t = np.arange(144_000) / 48_000
    chirp = (0.3 + 0.6 * p[0]) * np.sin(2 * np.pi * p[1] + 2 * np.pi * (50 * t + (19_950 / 6) * t**2))
    noise = generator("audio.noise", seed).standard_normal((2, 168_000)) * (0.05 + 0.1 * p[2:4, None])
    clicks, k = np.zeros(57_600), np.arange(57_600)
    for j, start in enumerate(range(1000 + int(2000 * p[4]), 57_600, 3000 + int(3000 * p[5]))):
        clicks[start:] += (-1) ** j * 0.9 * np.exp(-(k[start:] - start) / (20 + 180 * p[6]))

    def tones(base: float, t: np.ndarray) -> np.ndarray:
        parts = [np.sin(2 * np.pi * (base * (i + 1) * (1 + 0.3 * q[i]) * t + q[4 + i])) for i in range(4)]
        mixed: np.ndarray = 0.15 * np.sum(np.stack(parts), axis=0)
        return mixed

    fast, slow = np.arange(int(44_100 * 2.5)) / 44_100, np.arange(48_000) / 16_000
    made = {
        "chirp": (chirp[None], 48_000),
        "noise_stereo_3.5s": (noise, 48_000),
        "clicks_1.2s": (clicks[None], 48_000),
        "tones_44100_stereo_2.5s": (np.stack([tones(300, fast), 0.5 * tones(450, fast)]), 44_100),
        "tones_16000_mono_3s": (tones(200, slow)[None], 16_000),
    }
    return {name: (wave.astype(np.float32), rate) for name, (wave, rate) in made.items()}


def frame(height: int, width: int, index: int, offsets: np.ndarray) -> np.ndarray:
    """One frame of a made-up video, uint8 ``[height, width, 3]``."""
    y, x, colour = np.arange(height)[:, None, None], np.arange(width)[None, :, None], np.arange(3)
    down, right = y * (5 + 2 * colour) + 7 * index + offsets, x * (3 + colour)
    frame: np.ndarray = down.astype(np.uint8) + right.astype(np.uint8)  # both wrap at 256
    return frame
