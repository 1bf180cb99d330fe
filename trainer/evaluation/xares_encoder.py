"""An X-ARES encoder over any checkpoint: ``python -m xares.run trainer/evaluation/xares_encoder.py …``.

X-ARES makes the encoder itself, without arguments, so that the environment names the checkpoint:
``COUNTERDUB_CHECKPOINT`` (a checkpoint, the folder of a run, ``random:<recipe>`` or ``mel-statistics``).
"""

from __future__ import annotations

import os

import numpy as np
import torch

from trainer.evaluation.baselines import encoder_of
from trainer.evaluation.embedding import moments

HOP_MS = 200.0
"""Between two frames. X-ARES averages them for tasks of whole clips; a window is as long as the tower's."""


class CounterdubEncoder(torch.nn.Module):
    """What X-ARES asks for: ``forward`` takes float32 ``[B, T]`` at ``sampling_rate``, gives ``[B, T', output_dim]``.

    Attributes:
        sampling_rate: Hz.
        output_dim: Width of a frame.
        hop_size_in_ms: Between two frames.

    Raises:
        UsageError: ``no_checkpoint`` if the environment names none, and what the loaders raise.
    """

    def __init__(self) -> None:
        super().__init__()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.encoder = encoder_of(os.environ.get("COUNTERDUB_CHECKPOINT", ""), device=device)
        self.sampling_rate, self.output_dim = self.encoder.sample_rate, self.encoder.audio_size
        self.hop_size_in_ms = HOP_MS

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        waves = audio.detach().cpu().numpy().astype(np.float32, copy=False)
        frames = np.stack([moments(self.encoder, wave, HOP_MS)[0] for wave in waves])
        return torch.from_numpy(frames).to(audio.device)
