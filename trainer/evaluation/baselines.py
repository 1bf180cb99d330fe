"""What any checkpoint is compared with: statistics of the spectrogram, and a tower that learned nothing."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch

from trainer.evaluation.embedding import AudioEncoder
from trainer.frontend.mel import MelFrontEnd
from trainer.recipe import AudioSettings, Recipe, load_recipe
from trainer.towers import build_tower

MEL_STATISTICS = "mel-statistics"
RANDOM = "random:"


class MelStatistics:
    """Mean and standard deviation over time of each mel band in dB, of the whole sound: no training at all."""

    seconds = math.inf

    def __init__(self, settings: AudioSettings | None = None) -> None:
        self.settings = settings or AudioSettings()
        self.id = f"{MEL_STATISTICS}-{self.settings.sample_rate}-{self.settings.mels}"
        self.sample_rate = self.settings.sample_rate
        self.audio_size = 2 * self.settings.mels
        self._mel = MelFrontEnd(self.settings)

    @torch.no_grad()
    def audio(self, waves: np.ndarray) -> np.ndarray:
        # The STFT reflects half a window at the edges, so that shorter sounds are filled up.
        short = self.settings.n_fft // 2 + 1 - waves.shape[1]
        filled = np.pad(waves, ((0, 0), (0, max(short, 0))))
        mel = self._mel(torch.from_numpy(filled)[:, None])[:, 0]
        return torch.cat([mel.mean(-1), mel.std(-1, unbiased=False)], dim=1).numpy()


class RandomTower:
    """The audio tower of a recipe as it is before its first step.

    Args:
        recipe: Whose tower.
        seed: Of its weights.
    """

    def __init__(self, recipe: Recipe, seed: int = 0) -> None:
        self.recipe = recipe
        audio = recipe.audio
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._mel = MelFrontEnd(audio)
            self._tower = build_tower(recipe.model.audio, "audio", channels=audio.channels, mels=audio.mels).eval()
        self.id = f"random-{hashlib.sha256(recipe.model.audio.model_dump_json().encode()).hexdigest()[:16]}-{seed}"
        self.sample_rate, self.seconds, self.audio_size = audio.sample_rate, audio.seconds, self._tower.size

    @torch.no_grad()
    def audio(self, waves: np.ndarray) -> np.ndarray:
        return self._tower(self._mel(torch.from_numpy(waves)[:, None])).float().numpy()


def baseline(name: str, seed: int = 0) -> AudioEncoder | None:
    """``mel-statistics``, ``random:<recipe>``, or None for any other name."""
    if name == MEL_STATISTICS:
        return MelStatistics()
    if name.startswith(RANDOM):
        return RandomTower(load_recipe(name.removeprefix(RANDOM)), seed)
    return None
