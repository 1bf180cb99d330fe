"""Acoustic ResNet-50, the controlled models' audio tower (from AudioVisual SlowFast, 2001.08740, section 4).

Time and mel are convolved apart in the stem and the first two stages, together in the last two. Axes are
(time, 1, mel), as in the published implementations, whose names of weights these are.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from trainer.towers.tower import DB_CENTRE, DB_SCALE, Tower

Axes = tuple[int, int, int]
BLOCKS = (3, 4, 6, 3)


class AcousticResNet(Tower):
    """``[B, channels, mels, time]`` in dB to the mean of the last stage, ``[B, 32 * stem]``.

    Args:
        channels: Of the sound.
        stem: Channels of the stem: 32 gives 1024-d, 64 gives 2048-d.
    """

    def __init__(self, channels: int = 1, stem: int = 32) -> None:
        super().__init__()
        stages: list[nn.Module] = [ResNetStem(channels, stem)]
        width = stem
        for index, count in enumerate(BLOCKS):
            inner, stride = stem * 2**index, 1 if index == 0 else 2
            stages.append(ResNetStage(width, inner, count, stride, apart=index < 2))
            width = 4 * inner
        self.blocks = nn.ModuleList(stages)
        self.size = width
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encode(((x - DB_CENTRE) / DB_SCALE).transpose(2, 3)[:, :, :, None])

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The same of a scaled spectrogram ``[B, channels, time, 1, mels]``."""
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3, 4))


class ResNetStem(nn.Module):
    """Along time and along mel, added; mel strides by three."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        sides = nn.ModuleList([conv(channels, width, side, (1, 1, 3)) for side in ((9, 1, 1), (1, 1, 9))])
        self.conv = nn.ModuleDict({"convs": sides})
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        in_time, in_mel = self.conv["convs"].children()
        return functional.relu(self.norm(in_time(x) + in_mel(x)))


class ResNetStage(nn.Module):
    def __init__(self, width: int, inner: int, count: int, stride: int, *, apart: bool) -> None:
        super().__init__()
        first = ResNetResidual(width, inner, stride, apart=apart)
        self.res_blocks = nn.ModuleList(
            [first, *(ResNetResidual(4 * inner, inner, 1, apart=apart) for _ in range(count - 1))]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.res_blocks:
            x = block(x)
        return x


class ResNetResidual(nn.Module):
    """A bottleneck beside a shortcut, which is a convolution where width or grid change."""

    def __init__(self, width: int, inner: int, stride: int, *, apart: bool) -> None:
        super().__init__()
        out = 4 * inner
        if stride > 1 or width != out:
            self.branch1_conv: nn.Module = conv(width, out, (1, 1, 1), (stride, 1, stride))
            self.branch1_norm: nn.Module = nn.BatchNorm3d(out)
        else:
            self.branch1_conv, self.branch1_norm = nn.Identity(), nn.Identity()
        self.branch2 = ResNetBottleneck(width, inner, stride, apart=apart)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.branch1_norm(self.branch1_conv(x)) + self.branch2(x))


class ResNetBottleneck(nn.Module):
    """Three in time (strides there); mel and time, apart and added or together (strides in mel); then one by one."""

    def __init__(self, width: int, inner: int, stride: int, *, apart: bool) -> None:
        super().__init__()
        self.conv_a = conv(width, inner, (3, 1, 1), (stride, 1, 1))
        self.norm_a = nn.BatchNorm3d(inner)
        strides = (1, 1, stride)
        if apart:
            sides = ((1, 1, 3), (3, 1, 1))
            self.conv_b: nn.Module = nn.ModuleList([conv(inner, inner, side, strides) for side in sides])
            self.norm_b: nn.Module = nn.ModuleList([nn.BatchNorm3d(inner) for _ in sides])
        else:
            self.conv_b, self.norm_b = conv(inner, inner, (3, 1, 3), strides), nn.BatchNorm3d(inner)
        self.conv_c = conv(inner, 4 * inner, (1, 1, 1), (1, 1, 1))
        self.norm_c = nn.BatchNorm3d(4 * inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm_a(self.conv_a(x)))
        if isinstance(self.conv_b, nn.ModuleList) and isinstance(self.norm_b, nn.ModuleList):
            branches = zip(self.conv_b, self.norm_b, strict=True)
            in_mel, in_time = (functional.relu(norm(branch(x))) for branch, norm in branches)
            x = in_mel + in_time
        else:
            x = functional.relu(self.norm_b(self.conv_b(x)))
        x = self.norm_c(self.conv_c(x))
        return x


def conv(width: int, out: int, kernel: Axes, stride: Axes) -> nn.Conv3d:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Conv3d(width, out, kernel, stride, padding, bias=False)
