"""X3D-M, the controlled models' video tower (2004.04730), 1024-d.

Names of weights are those of the published implementations, which store the stem's spatial convolution as ``conv_t``
and its temporal one as ``conv_xy``.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from trainer.towers.tower import Tower

MEAN, SPREAD = 0.45, 0.225
"""Of pixels in [0, 1], as X3D's published weights expect them."""

WIDTHS = (24, 48, 96, 192)
BLOCKS = (3, 5, 11, 7)
Axes = tuple[int, int, int]


class X3d(Tower):
    """``[B, 3, T, H, W]`` in [0, 1] to ``[B, 1024]``: the head up to its last ReLU, before any classifier."""

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = [X3dStem(WIDTHS[0])]
        width = WIDTHS[0]
        for out, count in zip(WIDTHS, BLOCKS, strict=True):
            stages.append(X3dStage(width, out, count))
            width = out
        self.size = 1024
        self.blocks = nn.ModuleList([*stages, Head(width, inner_width(width), self.size)])
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encode((x - MEAN) / SPREAD)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The same of normalised pixels."""
        for block in self.blocks:
            x = block(x)
        return x


class X3dStem(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        space = conv(3, width, (1, 3, 3), stride=2)
        self.conv = nn.ModuleDict({"conv_t": space, "conv_xy": conv(width, width, (5, 1, 1), groups=width)})
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.norm(self.conv["conv_xy"](self.conv["conv_t"](x))))


class X3dStage(nn.Module):
    """Residual blocks; the first halves height and width, every second one squeezes and excites."""

    def __init__(self, width: int, out: int, count: int) -> None:
        super().__init__()
        blocks = [X3dResidual(width if index == 0 else out, out, index == 0, index % 2 == 0) for index in range(count)]
        self.res_blocks = nn.ModuleList(blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.res_blocks:
            x = block(x)
        return x


class X3dResidual(nn.Module):
    def __init__(self, width: int, out: int, first: bool, excites: bool) -> None:
        super().__init__()
        self.branch1_conv = conv(width, out, (1, 1, 1), stride=2) if first else nn.Identity()
        self.branch1_norm = nn.BatchNorm3d(out) if width != out else nn.Identity()
        self.branch2 = X3dBottleneck(width, out, 2 if first else 1, excites)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.branch1_norm(self.branch1_conv(x)) + self.branch2(x))


class X3dBottleneck(nn.Module):
    """Widened, convolved channel by channel, narrowed again."""

    def __init__(self, width: int, out: int, stride: int, excites: bool) -> None:
        super().__init__()
        inner = inner_width(out)
        self.conv_a = conv(width, inner, (1, 1, 1))
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = conv(inner, inner, (3, 3, 3), stride, groups=inner)
        self.norm_b = nn.Sequential(nn.BatchNorm3d(inner), SqueezeExcitation(inner) if excites else nn.Identity())
        self.conv_c = conv(inner, out, (1, 1, 1))
        self.norm_c = nn.BatchNorm3d(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm_a(self.conv_a(x)))
        x = functional.silu(self.norm_b(self.conv_b(x)))
        x = self.norm_c(self.conv_c(x))
        return x


class SqueezeExcitation(nn.Module):
    """Channels scaled by what their means say (1709.01507)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = in_eights(width / 16)
        self.block = nn.Sequential(
            nn.Conv3d(width, narrow, 1), nn.ReLU(inplace=True), nn.Conv3d(narrow, width, 1), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate: torch.Tensor = self.block(x.mean((2, 3, 4), keepdim=True))
        return x * gate


class Head(nn.Module):
    def __init__(self, width: int, inner: int, size: int) -> None:
        super().__init__()
        self.pool = nn.ModuleDict(
            {
                "pre_conv": conv(width, inner, (1, 1, 1)),
                "pre_norm": nn.BatchNorm3d(inner),
                "post_conv": conv(inner, size, (1, 1, 1)),
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.pool["pre_norm"](self.pool["pre_conv"](x)))
        return functional.relu(self.pool["post_conv"](x.mean((2, 3, 4), keepdim=True))).flatten(1)


def inner_width(width: int) -> int:
    return int(2.25 * width)


def in_eights(width: float) -> int:
    """The nearest multiple of eight, from 8, but never more than a tenth below."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest


def conv(width: int, out: int, kernel: Axes, stride: int = 1, groups: int = 1) -> nn.Conv3d:
    """A convolution without bias whose stride is that of height and width."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Conv3d(width, out, kernel, (1, stride, stride), padding, groups=groups, bias=False)
