"""Mel spectrograms in dB, with masks, on the device.

48 kHz, n_fft and window 1024, hop 501, 96 mels and masks of up to half of each axis: paper, supplement B; the STFT's
and filters' conventions (periodic Hann, reflected edges, HTK mels without area norm, floor 1e-10) are the reference's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from trainer.recipe import AudioSettings

FLOOR = 1e-10


def samples_of(settings: AudioSettings) -> int:
    """Samples of one window."""
    return round(settings.sample_rate * settings.seconds)


def frames_of(settings: AudioSettings) -> int:
    """Frames of the spectrogram of one window: 288 for 3 s as the paper has it."""
    return 1 + samples_of(settings) // settings.hop


def mel_filters(sample_rate: int, n_fft: int, mels: int) -> np.ndarray:
    """Triangular HTK filters from 0 to half the sample rate, without area norm: float64 ``[n_fft // 2 + 1, mels]``."""
    top = 2595.0 * np.log10(1.0 + sample_rate / 2 / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(0.0, top, mels + 2) / 2595.0) - 1.0)
    bins = np.linspace(0.0, sample_rate / 2, n_fft // 2 + 1)
    rising = (bins[:, None] - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - bins[:, None]) / np.diff(corners)[1:]
    return np.maximum(0.0, np.minimum(rising, falling))


class MelFrontEnd(nn.Module):
    """Waves or power mels to dB, masked if a generator is given.

    ``forward(wave_or_mel, generator)`` takes int16 or float waves ``[B, C, N]`` at ``settings.sample_rate``, or power
    mels ``[B, C, mels, frames]``, and gives float32 ``[B, settings.channels, mels, frames]`` in dB. One channel is
    doubled where two are wanted; two waves are averaged where one is. Without a generator nothing is masked.

    Raises:
        ValueError: channels that cannot be brought to ``settings.channels``.
    """

    filters: torch.Tensor
    window: torch.Tensor

    def __init__(self, settings: AudioSettings) -> None:
        super().__init__()
        self.settings = settings
        filters = mel_filters(settings.sample_rate, settings.n_fft, settings.mels)
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(settings.n_fft), persistent=False)

    def forward(self, wave_or_mel: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        with torch.autocast(wave_or_mel.device.type, enabled=False):  # half precision would drown quiet bands
            power = wave_or_mel.float() if wave_or_mel.ndim == 4 else self.power(wave_or_mel)
            decibels = 10.0 * torch.log10(power.clamp_min(FLOOR))
        if generator is not None:
            decibels = masked(decibels, self.settings.time_mask, self.settings.frequency_mask, generator)
        if decibels.shape[1] == self.settings.channels:
            return decibels
        if decibels.shape[1] != 1:
            raise ValueError(f"power mels have {decibels.shape[1]} channels where {self.settings.channels} are wanted")
        return decibels.expand(-1, self.settings.channels, -1, -1)

    def power(self, wave: torch.Tensor) -> torch.Tensor:
        """Power mel spectrogram ``[B, C, mels, frames]`` of waves ``[B, C, N]``."""
        scale = 1.0 / 32768.0 if wave.dtype == torch.int16 else 1.0
        wave = wave.float() * scale
        if wave.shape[1] > self.settings.channels:
            wave = wave.mean(1, keepdim=True)
        batch, channels, samples = wave.shape
        spectrum = torch.stft(
            wave.reshape(batch * channels, samples),
            self.settings.n_fft,
            self.settings.hop,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        mel = torch.matmul(power.transpose(1, 2), self.filters).transpose(1, 2)
        return mel.reshape(batch, channels, self.settings.mels, -1)


def masked(decibels: torch.Tensor, time: float, frequency: float, generator: torch.Generator) -> torch.Tensor:
    """One run of frames and one of mels of each sample replaced by the sample's mean (as in SpecAugment, 1904.08779).

    Args:
        decibels: ``[B, C, mels, frames]``; channels of a sample share their masks.
        time: Largest share of the frames; the width is uniform from 0 to it, the place uniform over what fits.
        frequency: The same of the mels.
        generator: Where chance comes from; four numbers are drawn for each sample, whatever the shares are.
    """
    chance = torch.rand(4, decibels.shape[0], generator=generator, device=generator.device).to(decibels.device)
    mels, frames = decibels.shape[2:]
    in_time = mask_run(chance[0], chance[1], frames, time)[:, None, None, :]
    in_frequency = mask_run(chance[2], chance[3], mels, frequency)[:, None, :, None]
    return torch.where(in_time | in_frequency, decibels.mean((1, 2, 3), keepdim=True), decibels)


def mask_run(width: torch.Tensor, place: torch.Tensor, length: int, share: float) -> torch.Tensor:
    """Masks ``[B, length]``, bool: one run of at most ``share`` of the length, from numbers in [0, 1)."""
    wide = torch.floor(width * (int(share * length) + 1))
    start = torch.floor(place * (length - wide + 1))
    at = torch.arange(length, device=width.device)
    return (at >= start[:, None]) & (at < (start + wide)[:, None])
