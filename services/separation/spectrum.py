"""Short-time Fourier transform by ranges of frames, so that a long signal needs no long spectrogram.

Frame ``k`` is centred on sample ``k · hop`` (zeros beyond both ends), as ``torch.stft(center=True,
pad_mode="constant")`` has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frames:
    """Geometry of a transform: periodic Hann window of ``size`` samples every ``hop`` samples."""

    size: int
    hop: int

    @property
    def window(self) -> np.ndarray:
        phase = 2 * np.pi * np.arange(self.size) / self.size
        return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)

    def count(self, samples: int) -> int:
        """Frames whose centre lies in ``[0, samples]``."""
        return samples // self.hop + 1

    def spectrum(self, audio: np.ndarray, first: int, last: int) -> np.ndarray:
        """Frames ``[first, last)`` of ``[channels, samples]`` → complex64 ``[channels, frames, size / 2 + 1]``."""
        start = first * self.hop - self.size // 2
        stop = (last - 1) * self.hop + self.size // 2
        piece = audio[:, max(0, start) : max(0, stop)]
        left = max(0, -start)
        piece = np.pad(piece, ((0, 0), (left, stop - start - left - piece.shape[1])))
        frames = np.lib.stride_tricks.sliding_window_view(piece, self.size, axis=1)[:, :: self.hop]
        return np.fft.rfft(frames * self.window, axis=-1).astype(np.complex64, copy=False)


class Synthesis:
    """Weighted overlap-add of frames in increasing order, back into a signal of known shape."""

    def __init__(self, frames: Frames, channels: int, samples: int) -> None:
        self._frames = frames
        self._samples = samples
        half = frames.size // 2
        total = max(samples, (frames.count(samples) - 1) * frames.hop) + 2 * half
        self._sum = np.zeros((channels, total), np.float32)
        self._weight = np.zeros(total, np.float32)

    def add(self, first: int, spectrum: np.ndarray) -> None:
        """Add frames ``[channels, frames, bins]`` that start at frame ``first``."""
        window = self._frames.window
        blocks = np.fft.irfft(spectrum, self._frames.size, axis=-1).astype(np.float32, copy=False) * window
        for index in range(blocks.shape[1]):
            at = (first + index) * self._frames.hop
            self._sum[:, at : at + self._frames.size] += blocks[:, index]
            self._weight[at : at + self._frames.size] += window**2

    def result(self) -> np.ndarray:
        """``[channels, samples]`` float32."""
        half = self._frames.size // 2
        cut = slice(half, half + self._samples)
        return self._sum[:, cut] / np.maximum(self._weight[cut], 1e-8)
