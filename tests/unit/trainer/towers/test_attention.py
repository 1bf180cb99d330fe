"""The fused attention beside one that keeps its matrix of queries by keys, written from the definition."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from trainer.towers.mvit_attention import Grid, Pooling, PoolingAttention, between


def attention(grid: Grid, stride_q: int, stride_kv: int, class_token: bool) -> PoolingAttention:
    torch.manual_seed(1)
    made = PoolingAttention(
        16,
        32,
        2,
        Pooling((3, 3, 3), (1, stride_q, stride_q), (1, stride_kv, stride_kv)),
        grid=grid,
        class_token=class_token,
        relative_time=class_token,
    )
    return made.double()


def by_definition(made: PoolingAttention, q: torch.Tensor, k: torch.Tensor, grid_q: Grid, grid_k: Grid) -> torch.Tensor:
    """Logits, one query and key at a time."""
    first = int(made.class_token)
    logits = q @ k.transpose(-1, -2) / math.sqrt(made.head_width)
    tables = [made.rel_pos_t, made.rel_pos_h, made.rel_pos_w]
    for axis, table in enumerate(tables):
        if table is None:
            continue
        positions = between(table, grid_q[axis], grid_k[axis])
        for i, at_q in enumerate(product(*map(range, grid_q))):
            for j, at_k in enumerate(product(*map(range, grid_k))):
                term = q[:, :, first + i] @ positions[at_q[axis], at_k[axis]]
                logits[:, :, first + i, first + j] += term
    return logits


@pytest.mark.parametrize(
    ("grid", "stride_q", "stride_kv", "class_token"),
    [((2, 4, 4), 1, 2, True), ((2, 5, 5), 2, 1, True), ((1, 4, 6), 1, 2, False), ((1, 3, 5), 2, 2, False)],
)
def test_the_fused_kernel_gives_what_the_definition_gives(
    grid: Grid, stride_q: int, stride_kv: int, class_token: bool
) -> None:
    made = attention(grid, stride_q, stride_kv, class_token)
    generator = torch.Generator().manual_seed(2)
    grid_q, grid_k = ((grid[0], -(-grid[1] // step), -(-grid[2] // step)) for step in (stride_q, stride_kv))
    count_q, count_k = (math.prod(side) + int(class_token) for side in (grid_q, grid_k))
    q, k, v = (
        torch.randn(2, 2, count, 16, generator=generator, dtype=torch.float64) for count in (count_q, count_k, count_k)
    )
    q.requires_grad_()
    ours = made.attend(q, k, v, grid_q, grid_k)
    theirs = by_definition(made, q, k, grid_q, grid_k).softmax(-1) @ v
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    weights = [q, *(table for table in (made.rel_pos_h, made.rel_pos_w, made.rel_pos_t) if table is not None)]
    loss = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    for fused, plain in zip(
        torch.autograd.grad((ours * loss).sum(), weights),
        torch.autograd.grad((theirs * loss).sum(), weights),
        strict=True,
    ):
        assert fused.abs().max() > 0
        torch.testing.assert_close(fused, plain, rtol=0, atol=1e-11)


def test_relative_positions_count_from_the_farthest_key() -> None:
    table = torch.arange(7.0)[:, None]
    assert between(table, 4, 4)[:, :, 0].tolist() == [[3 + q - k for k in range(4)] for q in range(4)]
    assert between(table, 4, 2)[:, :, 0].tolist() == [[2, 0], [3, 1], [4, 2], [5, 3]]


def test_a_table_of_another_length_is_resized_with_half_pixel_centres() -> None:
    table = torch.tensor([0.0, 1.0, 2.0, 3.0])[:, None]
    resized = between(table, 4, 4)[:, 0, 0]  # 7 values; those at 3, 4, 5, 6
    expected = [(i + 0.5) * 4 / 7 - 0.5 for i in (3, 4, 5, 6)]
    torch.testing.assert_close(resized, torch.tensor([min(max(value, 0), 3) for value in expected]))


def test_bfloat16_stays_near_float32() -> None:
    made = attention((2, 4, 4), 1, 2, True).float()
    x = torch.randn(2, 33, 16, generator=torch.Generator().manual_seed(4))
    whole, _ = made(x, (2, 4, 4))
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = made(x, (2, 4, 4))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), whole, rtol=0.05, atol=0.02)
