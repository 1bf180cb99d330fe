"""MViT for picture and sound: a transformer whose grid of tokens shrinks as its width grows (MViTv2, 2112.01526).

Sizes S and B are the paper's main towers, 768-d. Names and shapes of all weights are the public reference's, so that
its checkpoints load; ``trainer.towers.published`` does that.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from trainer.towers.mvit_attention import EPS, Grid, Pooling, PoolingAttention
from trainer.towers.tower import Tower

WIDTH = 96
SHRINKS = {"S": (16, (1, 3, 14)), "B": (24, (2, 5, 21))}
"""Depth, and the blocks that halve height and width of the grid and double the channels and heads."""

PATCHES: dict[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...]]] = {
    ("video", "overlap"): ((3, 7, 7), (2, 4, 4)),
    ("video", "nonoverlap"): ((3, 9, 9), (2, 8, 8)),
    ("audio", "overlap"): ((7, 7), (4, 4)),
    ("audio", "nonoverlap"): ((7, 9), (4, 8)),
}
"""Kernel and stride of the patch convolution."""


class Mvit(Tower):
    """One tower; ``[B, channels, *extent]`` to ``[B, 768]``.

    Video reads the class token, audio the mean of all tokens, after the last norm.

    Args:
        modality: ``video`` (frames, height, width) or ``audio`` (mels, time).
        size: S: 16 blocks; B: 24.
        patches: Whether patches overlap; if not, four times (audio: two times) fewer tokens.
        channels: 3 for RGB, 1 or 2 for sound.
        extent: What is expected along the axes; another extent works too, with relative positions resized.
        drop_path: Share of samples whose block is left out in training, growing linearly to this at the last block.
    """

    def __init__(
        self,
        modality: Literal["video", "audio"],
        size: Literal["S", "B"],
        patches: Literal["overlap", "nonoverlap"],
        channels: int,
        extent: tuple[int, ...],
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        video = modality == "video"
        kernel, stride = PATCHES[modality, patches]
        self.patch_embed = PatchEmbedding(channels, kernel, stride)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH)) if video else None
        depth, shrinks = SHRINKS[size]
        axes = [n // s for n, s in zip(extent, stride, strict=True)]
        grid: Grid = (axes[-3] if video else 1, axes[-2], axes[-1])
        width, heads, stride_kv = WIDTH, 1, 8 if video else 4
        blocks = []
        for index in range(depth):
            shrink = 2 if index in shrinks else 1
            stride_kv = max(1, stride_kv // shrink)
            heads *= shrink
            attention = PoolingAttention(
                width,
                width * shrink,
                heads,
                Pooling((3 if video else 1, 3, 3), (1, shrink, shrink), (1, stride_kv, stride_kv)),
                grid=grid,
                class_token=video,
                relative_time=video,
            )
            blocks.append(Block(attention, width, width * shrink, shrink, drop_path * index / (depth - 1)))
            width *= shrink
            grid = (grid[0], grid[1] // shrink, grid[2] // shrink)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.size = width
        self.apply(start)
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)

    @property
    def input_norm(self) -> nn.Module:
        return self.patch_embed.norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, grid = self.patch_embed(x)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.to(x.dtype).expand(x.shape[0], -1, -1), x], 1)
        for block in self.blocks:
            x, grid = block(x, grid)
        x = self.norm(x)
        return x.mean(1) if self.cls_token is None else x[:, 0]


class PatchEmbedding(nn.Module):
    """Input norm, then a strided convolution to tokens ``[B, N, 96]`` and their grid."""

    def __init__(self, channels: int, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        padding = tuple(side // 2 for side in kernel)
        norm, convolution = (nn.BatchNorm3d, nn.Conv3d) if len(kernel) == 3 else (nn.BatchNorm2d, nn.Conv2d)
        self.norm = norm(channels, affine=False)
        # Which of the two it is decides how many sides a kernel has.
        self.proj = convolution(channels, WIDTH, kernel, stride, padding)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Grid]:
        x = self.proj(self.norm(x))
        grid = (math.prod(x.shape[2:-2]), x.shape[-2], x.shape[-1])
        return x.flatten(2).transpose(1, 2), grid


class Block(nn.Module):
    """Attention and MLP with residuals; where the grid shrinks, the shortcut is widened and max-pooled."""

    def __init__(self, attention: PoolingAttention, width: int, out: int, shrink: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = attention
        self.norm2 = nn.LayerNorm(out, eps=EPS)
        self.mlp = Mlp(out)
        self.proj = nn.Linear(width, out) if width != out else None
        self.shrink = shrink
        self.drop_path = drop_path

    def forward(self, x: torch.Tensor, grid: Grid) -> tuple[torch.Tensor, Grid]:
        normed = self.norm1(x)
        y, grid_out = self.attn(normed, grid)
        if self.proj is not None:
            x = self.proj(normed)
        if self.shrink > 1:
            x = self.shortcut(x, grid)
        x = x + self.dropped(y)
        return x + self.dropped(self.mlp(self.norm2(x))), grid_out

    def shortcut(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        first = int(self.attn.class_token)
        cube = x[:, first:].transpose(1, 2).reshape(x.shape[0], x.shape[2], *grid)
        side, step = self.shrink + 1, self.shrink
        cube = functional.max_pool3d(cube, (1, side, side), (1, step, step), (0, side // 2, side // 2))
        return torch.cat([x[:, :first], cube.flatten(2).transpose(1, 2)], 1)

    def dropped(self, x: torch.Tensor) -> torch.Tensor:
        """Some samples zeroed, the others scaled up, in training (stochastic depth, 1603.09382)."""
        if not self.training or self.drop_path == 0:
            return x
        keep = 1 - self.drop_path
        return x * x.new_empty(x.shape[0], 1, 1).bernoulli_(keep).div_(keep)


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc2(functional.gelu(self.fc1(x)))
        return x


def start(module: nn.Module) -> None:
    """First weights: as usual for vision transformers."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
