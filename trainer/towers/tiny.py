"""Small towers for recipes that train on a CPU in minutes; any input size, no batch statistics.

Group norm sees one clip at a time, so that a batch encoded in parts gives what the whole batch gives.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from trainer.towers.tower import DB_CENTRE, DB_SCALE, Tower


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels), channels)


def convolution(wide: int, out: int, kernel: int = 3, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(wide, out, kernel, stride, kernel // 2, bias=False), norm(out), nn.ReLU(inplace=True)
    )


class TinyAudio(Tower):
    """Four 2-D convolutions over mel and time; mean and maximum of what is left.

    Args:
        channels: Of the sound, 1 or 2.
        width: Channels of the first convolution; ``size`` is six times that.
    """

    def __init__(self, channels: int = 1, width: int = 32) -> None:
        super().__init__()
        self.size = 6 * width
        self.layers = nn.Sequential(
            convolution(channels, width),
            convolution(width, 2 * width),
            convolution(2 * width, 3 * width),
            convolution(3 * width, 3 * width, stride=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers((x - DB_CENTRE) / DB_SCALE)
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


class TinyVideo(Tower):
    """Three 2-D convolutions in every frame, then two 1-D ones over time; mean and maximum over the frames.

    Args:
        width: Channels of the first convolution; ``size`` is eight times that.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.size = 8 * width
        self.frame = nn.Sequential(
            convolution(3, width, kernel=5),
            convolution(width, 2 * width),
            convolution(2 * width, 3 * width),
        )
        self.time = nn.Sequential(
            nn.Conv1d(6 * width, 4 * width, 3, padding=1, bias=False),
            norm(4 * width),
            nn.ReLU(inplace=True),
            nn.Conv1d(4 * width, 4 * width, 3, padding=1, bias=False),
            norm(4 * width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shots, frames = x.shape[0], x.shape[2]
        x = self.frame((x * 2 - 1).transpose(1, 2).flatten(0, 1))
        x = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        x = self.time(x.reshape(shots, frames, -1).transpose(1, 2))
        return torch.cat([x.mean(2), x.amax(2)], 1)
