"""The HEAR 2021 API over any checkpoint: ``heareval … trainer.evaluation.hear --model checkpoint.pt``.

https://hearbenchmark.com/hear-api.html: ``load_model``; scene embeddings of a batch of sounds, the mean over windows as
the reference cuts them; timestamp embeddings every 50 ms of the window centred there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from trainer.evaluation.baselines import encoder_of
from trainer.evaluation.embedding import HOP_MS, moments, scenes


class HearModel(torch.nn.Module):
    """What :func:`load_model` returns; only its attributes are of use.

    Attributes:
        sample_rate: Hz, that sounds must have.
        scene_embedding_size: Width of a scene embedding.
        timestamp_embedding_size: Width of a timestamp embedding.
    """

    def __init__(self, checkpoint: str, device: str, hop_ms: float) -> None:
        super().__init__()
        self.checkpoint, self.hop_ms = checkpoint, hop_ms
        self.encoder = encoder_of(checkpoint, device=device)
        self.sample_rate = self.encoder.sample_rate
        self.scene_embedding_size = self.timestamp_embedding_size = self.encoder.audio_size

    def to(self, *args: Any, **kwargs: Any) -> HearModel:
        """The same model on another device; types are left as they are."""
        device = kwargs.get("device", args[0] if args else None)
        if isinstance(device, str | int | torch.device):
            device = f"cuda:{device}" if isinstance(device, int) else device
            self.encoder = encoder_of(self.checkpoint, device=str(device))
        return self


def load_model(model_file_path: str = "", device: str = "cpu", hop_ms: float = HOP_MS) -> HearModel:
    """A model for the two functions below.

    Args:
        model_file_path: A checkpoint, the folder of a run, ``random:<recipe>`` or (if empty) ``mel-statistics``.
        device: Where it runs.
        hop_ms: Between timestamps.
    """
    return HearModel(model_file_path or "mel-statistics", device, hop_ms)


def get_scene_embeddings(audio: torch.Tensor, model: HearModel) -> torch.Tensor:
    """One embedding a sound.

    Args:
        audio: float32 ``[sounds, samples]`` at ``model.sample_rate``, −1 to 1.
        model: From :func:`load_model`.

    Returns:
        float32 ``[sounds, scene_embedding_size]`` on the sounds' device.
    """
    waves = audio.detach().cpu().numpy().astype(np.float32, copy=False)
    return torch.from_numpy(scenes(model.encoder, list(waves))).to(audio.device)


def get_timestamp_embeddings(audio: torch.Tensor, model: HearModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of moments.

    Args:
        audio: float32 ``[sounds, samples]`` at ``model.sample_rate``, −1 to 1.
        model: From :func:`load_model`.

    Returns:
        float32 ``[sounds, timestamps, timestamp_embedding_size]`` and their times, ``[sounds, timestamps]``,
        milliseconds, on the sounds' device.
    """
    waves = audio.detach().cpu().numpy().astype(np.float32, copy=False)
    rows, times = zip(*(moments(model.encoder, wave, model.hop_ms) for wave in waves), strict=True)
    return torch.from_numpy(np.stack(rows)).to(audio.device), torch.from_numpy(np.stack(times)).to(audio.device)
