"""What every tower is."""

from __future__ import annotations

import torch
from torch import nn

DB_CENTRE, DB_SCALE = -40.0, 20.0
"""Rough mean and spread of a mel spectrogram in dB, for towers whose own norm comes after a convolution."""


class Tower(nn.Module):
    """An encoder of one modality: a picture or a sound in, one vector a clip out.

    Video towers take float ``[B, 3, T, H, W]``, RGB in [0, 1]; audio towers ``[B, C, mels, time]`` in dB. Each brings
    its own input normalisation. The result is ``[B, size]``, not normalised.
    """

    size: int
    """Width of the embedding."""

    @property
    def input_norm(self) -> nn.Module | None:
        """The batch norm that the input itself enters, if there is one: its statistics are the whole batch's."""
        return None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError
