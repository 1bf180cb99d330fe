"""What any checkpoint is compared with: statistics of the spectrogram, and towers that learned nothing."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch

from trainer.encoder import Encoder, Made, load_encoder
from trainer.evaluation.embedding import AudioEncoder
from trainer.frontend.mel import MelFrontEnd
from trainer.model import Model
from trainer.recipe import AudioSettings, Recipe, load_recipe
from trainer.training.processes import select_device

MEL_STATISTICS = "mel-statistics"
RANDOM = "random:"


class MelStatistics:
    """Mean and standard deviation over time of each mel band in dB: no training at all.

    Args:
        settings: Of the spectrogram.
        seconds: Window that is described; by default a sound as a whole.
    """

    def __init__(self, settings: AudioSettings | None = None, seconds: float = math.inf) -> None:
        self.settings, self.seconds = settings or AudioSettings(), seconds
        self.id = f"{MEL_STATISTICS}-{self.settings.sample_rate}-{self.settings.mels}-{seconds}"
        self.sample_rate = self.settings.sample_rate
        self.audio_size = 2 * self.settings.mels
        self._mel = MelFrontEnd(self.settings)

    @torch.no_grad()
    def audio(self, waves: np.ndarray) -> np.ndarray:
        """float32 ``[B, N]`` → float32 ``[B, 2 · mels]``, means then deviations."""
        # The STFT reflects half a window at the edges, so that shorter sounds are filled up.
        short = self.settings.n_fft // 2 + 1 - waves.shape[1]
        filled = np.pad(waves, ((0, 0), (0, max(short, 0))))
        mel = self._mel(torch.from_numpy(filled)[:, None])[:, 0]
        return torch.cat([mel.mean(-1), mel.std(-1, unbiased=False)], dim=1).numpy()


def random_encoder(recipe: Recipe, seed: int = 0, device: str = "cpu") -> Encoder:
    """The towers of a recipe as they are before their first step, with weights of their own seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Model(recipe)
    of = hashlib.sha256(f"{recipe.model.model_dump_json()} {recipe.audio.model_dump_json()}".encode()).hexdigest()
    where = select_device(device, 0)
    model.to(where).eval()
    made = Made(recipe, model.audio, model.video, model.project)
    return Encoder(made, f"random-{of[:32]}-{seed}", where)


def encoder_of(name: str, seed: int = 0, device: str = "cpu") -> Encoder | AudioEncoder:
    """``mel-statistics``, ``random:<recipe>``, or a checkpoint as :func:`trainer.encoder.load_encoder` takes it.

    Raises:
        UsageError: ``no_checkpoint``, ``unknown_recipe`` and others of the two loaders.
    """
    if name == MEL_STATISTICS:
        return MelStatistics()
    if name.startswith(RANDOM):
        return random_encoder(load_recipe(name.removeprefix(RANDOM)), seed, device)
    return load_encoder(name, device)
