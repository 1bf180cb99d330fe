"""Pooling attention with decomposed relative positions (MViTv2, 2112.01526), through the fused kernel.

The relative term of a query q and a key at (t, h, w) is q·R_t + q·R_h + q·R_w. It enters the fused attention as further
features: q is followed by its products with all R_h, R_w and R_t, each key by the one-hot of its place. No matrix of
queries by keys is ever kept.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

Grid = tuple[int, int, int]
"""Tokens along time, height and width; width is fastest."""

EPS = 1e-6


class Pooling(NamedTuple):
    """How queries, and keys and values, are pooled."""

    kernel: Grid
    """Of all three convolutions."""
    stride_q: Grid
    """Of the queries'; the output's grid is the input's divided by it, rounded up."""
    stride_kv: Grid


class PoolingAttention(nn.Module):
    """Attention whose queries, keys and values are pooled by depth-wise convolutions.

    Args:
        width: Channels that come in.
        out: Channels that go out; the change of width happens here.
        heads: Each of ``out // heads`` channels.
        pooled: Of queries, keys and values.
        grid: Tokens that are expected; with floored division it fixes the length of the tables of relative positions.
        class_token: The first token stands outside of the grid; else there is none such.
        relative_time: Whether time has relative positions too.
    """

    def __init__(
        self,
        width: int,
        out: int,
        heads: int,
        pooled: Pooling,
        grid: Grid,
        *,
        class_token: bool,
        relative_time: bool,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = out // heads
        self.class_token = class_token
        self.qkv = nn.Linear(width, 3 * out)
        self.proj = nn.Linear(out, out)
        self.pool_q, self.norm_q = pooling(self.head_width, pooled.kernel, pooled.stride_q)
        self.pool_k, self.norm_k = pooling(self.head_width, pooled.kernel, pooled.stride_kv)
        self.pool_v, self.norm_v = pooling(self.head_width, pooled.kernel, pooled.stride_kv)
        larger = [max(n // q, n // kv) for n, q, kv in zip(grid, pooled.stride_q, pooled.stride_kv, strict=True)]
        length = larger[1] + larger[2] - 1
        self.rel_pos_h = table(length, self.head_width)
        self.rel_pos_w = table(length, self.head_width)
        self.rel_pos_t = table(2 * larger[0] - 1, self.head_width) if relative_time else None

    def forward(self, x: torch.Tensor, grid: Grid) -> tuple[torch.Tensor, Grid]:
        """Tokens ``[B, N, width]`` on ``grid`` to ``[B, M, out]`` and their grid."""
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, self.head_width).permute(2, 0, 3, 1, 4).unbind(0)
        q, grid_q = self.pooled(q, grid, self.pool_q, self.norm_q)
        k, grid_k = self.pooled(k, grid, self.pool_k, self.norm_k)
        v, _ = self.pooled(v, grid, self.pool_v, self.norm_v)
        y = self.attend(q, k, v, grid_q, grid_k)
        first = int(self.class_token)
        y = torch.cat([y[:, :, :first], y[:, :, first:] + q[:, :, first:]], 2) if first else y + q
        return self.proj(y.transpose(1, 2).reshape(batch, q.shape[2], -1)), grid_q

    def pooled(self, x: torch.Tensor, grid: Grid, pool: nn.Conv3d, norm: nn.LayerNorm) -> tuple[torch.Tensor, Grid]:
        """``[B, heads, N, head_width]`` convolved over the grid, the class token left alone, all normalised."""
        batch, heads, _, width = x.shape
        outside, inside = x[:, :, : int(self.class_token)], x[:, :, int(self.class_token) :]
        cube = inside.reshape(batch * heads, *grid, width).permute(0, 4, 1, 2, 3)
        cube = pool(cube)
        pooled_grid = (cube.shape[2], cube.shape[3], cube.shape[4])
        inside = cube.permute(0, 2, 3, 4, 1).reshape(batch, heads, -1, width)
        return norm(torch.cat([outside, inside], 2) if self.class_token else inside), pooled_grid

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, grid_q: Grid, grid_k: Grid) -> torch.Tensor:
        """Softmax(q·k / √head_width + relative terms)·v, ``[B, heads, M, head_width]``."""
        terms, places = self.relative(q, grid_q, grid_k)
        width = self.head_width + terms.shape[-1]
        spare = -width % 8  # kernels want a multiple of eight, and values as wide as keys
        q = functional.pad(torch.cat([q * self.head_width**-0.5, terms], -1), (0, spare))
        k = functional.pad(torch.cat([k, places.to(k.dtype).expand(*k.shape[:2], -1, -1)], -1), (0, spare))
        v = functional.pad(v, (0, width + spare - self.head_width))
        return functional.scaled_dot_product_attention(q, k, v, scale=1.0)[..., : self.head_width]

    def relative(self, q: torch.Tensor, grid_q: Grid, grid_k: Grid) -> tuple[torch.Tensor, torch.Tensor]:
        """Products of every query with its relative positions ``[B, heads, M, F]`` and one-hots of keys ``[N, F]``.

        Both are zero for the class token.
        """
        first = int(self.class_token)
        cube = q[:, :, first:].reshape(*q.shape[:2], *grid_q, self.head_width)
        tables = [self.rel_pos_t, self.rel_pos_h, self.rel_pos_w]
        terms, places = [], []
        for axis, (positions, letter) in enumerate(zip(tables, "thw", strict=True)):
            if positions is None:
                continue
            along = between(positions, grid_q[axis], grid_k[axis])
            terms.append(torch.einsum(f"bnthwc,{letter}kc->bnthwk", cube, along.to(cube.dtype)))
            shape = [n if other == axis else 1 for other, n in enumerate(grid_k)]
            one_hot = torch.eye(grid_k[axis], device=q.device).reshape(*shape, -1).expand(*grid_k, -1)
            places.append(one_hot.reshape(-1, grid_k[axis]))
        flat = torch.cat(terms, -1).flatten(2, 4)
        return functional.pad(flat, (0, 0, first, 0)), functional.pad(torch.cat(places, -1), (0, 0, first, 0))


def between(positions: torch.Tensor, queries: int, keys: int) -> torch.Tensor:
    """Relative positions ``[queries, keys, C]`` from a table ``[L, C]``, resized linearly if it has another length."""
    length = 2 * max(queries, keys) - 1
    if positions.shape[0] != length:
        positions = functional.interpolate(positions.T[None], size=length, mode="linear", align_corners=False)[0].T
    step_q, step_k = max(keys / queries, 1.0), max(queries / keys, 1.0)
    at_q = torch.arange(queries, device=positions.device)[:, None] * step_q
    at_k = torch.arange(keys, device=positions.device)[None, :] * step_k
    return positions[(at_q - at_k + (keys - 1) * step_k).long()]


def pooling(width: int, kernel: Grid, stride: Grid) -> tuple[nn.Conv3d, nn.LayerNorm]:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    pool = nn.Conv3d(width, width, kernel, stride, padding, groups=width, bias=False)
    return pool, nn.LayerNorm(width, eps=EPS)


def table(length: int, width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(length, width), std=0.02))
