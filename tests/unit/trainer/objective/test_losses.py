"""Losses against published vectors, and at the edges."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from tests.unit.trainer.objective import parity
from trainer.objective import infonce, sigmoid
from trainer.objective.losses import infonce_rows, sigmoid_rows


@pytest.mark.parametrize("loss", ["infonce", "sigmoid"])
def test_losses_and_gradients_are_the_published_ones(loss: str) -> None:
    expected, arrays = parity.vectors()
    values = expected["infonce" if loss == "infonce" else "siglip_values"]
    assert len(values) == 18
    checked = 0
    for key, value in values.items():
        left, right, mask = key.split("|")
        z = parity.raw()
        z["v_p"].requires_grad_()
        u = {name: normalize(x, dim=1) for name, x in z.items()}
        u["v_p"].retain_grad()
        masked = parity.mask(expected["masks_removed_pairs_row_column"][mask])
        scalars = torch.tensor([0.0, 10.0, -10.0], dtype=torch.float64)
        scalars[0] = -torch.tensor(0.07, dtype=torch.float64).log()
        scalars.requires_grad_()
        if loss == "infonce":
            ours = infonce(u[left], u[right], (-scalars[0]).exp(), masked)
            by_scalar = [value["d_loss_d_log_inverse_tau"], 0, 0]
        else:
            ours = sigmoid(u[left], u[right], scalars[1], scalars[2], masked)
            by_scalar = [0, value["d_loss_d_t"], value["d_loss_d_b"]]
        ours.backward()
        assert ours.item() == pytest.approx(value["loss"], abs=1e-10)
        assert scalars.grad.tolist() == pytest.approx(by_scalar, abs=1e-10)
        name = "infonce" if loss == "infonce" else "siglip"
        for kind, gradient in (("raw", z["v_p"].grad), ("unit", u["v_p"].grad)):
            array = arrays.get(f"{name}_grad_{kind}_{left}__{right}__{mask}")
            if array is not None:
                assert (gradient - torch.from_numpy(array)).abs().max() < 1e-12
                checked += 1
    assert checked == (12 if loss == "infonce" else 9)


def unit(rows: int, size: int = 16, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_a_masked_entry_has_no_influence_and_the_diagonal_is_never_masked() -> None:
    x, y = unit(6).requires_grad_(), unit(6, seed=1).requires_grad_()
    masked = torch.zeros(6, 6, dtype=torch.bool)
    masked[1, 4] = True
    loss = infonce(x, y, 0.1, masked)
    by_hand = (x @ y.T / 0.1).masked_fill(masked, -1e9)
    rows = torch.nn.functional.cross_entropy(by_hand, torch.arange(6))
    columns = torch.nn.functional.cross_entropy(by_hand.T, torch.arange(6))
    assert torch.allclose(loss, (rows + columns) / 2)
    assert loss < infonce(x, y, 0.1)
    masked.fill_diagonal_(True)
    assert torch.equal(infonce(x, y, 0.1, masked), loss)
    assert torch.equal(sigmoid(x, y, 10, -10, masked), sigmoid(x, y, 10, -10, masked.fill_diagonal_(False)))


def test_rows_without_a_negative_cost_nothing_and_have_finite_gradients() -> None:
    x, y = unit(4).requires_grad_(), unit(4, seed=1).requires_grad_()
    infonce(x, y, 0.07, torch.ones(4, 4, dtype=torch.bool)).backward()
    assert infonce(x, y, 0.07, torch.ones(4, 4, dtype=torch.bool)) == 0
    assert x.grad.abs().max() == 0
    masked = torch.zeros(4, 4, dtype=torch.bool)
    masked[2] = True
    infonce(x, y, 0.07, masked).backward()
    assert x.grad.isfinite().all() and x.grad.abs().max() > 0
    lone = sigmoid(x, y, 10.0, -10.0, torch.ones(4, 4, dtype=torch.bool))
    assert torch.allclose(lone, -torch.nn.functional.logsigmoid(10 * (x * y).sum(1) - 10).mean())


def test_one_pair_alone_is_no_task() -> None:
    assert infonce(unit(1), unit(1, seed=1), 0.07) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_fp32(dtype: torch.dtype) -> None:
    x, y = unit(64, 128).to(dtype), unit(64, 128, seed=1).to(dtype)
    for loss in (lambda a, b: infonce(a, b, 0.07), lambda a, b: sigmoid(a, b, 10.0, -10.0)):
        with torch.autocast("cpu", torch.bfloat16):
            half = loss(x, y)
        assert half.dtype == torch.float32
        assert half.item() == pytest.approx(loss(x.double(), y.double()).item(), abs=1e-5)
    assert infonce(x.double(), y.double(), 0.07).dtype == torch.float64


def test_shares_of_rows_average_to_the_whole() -> None:
    x, y = unit(8).double(), unit(8, seed=1).double()
    masked = torch.rand(8, 8, generator=torch.Generator().manual_seed(3)) < 0.3
    parts = [
        infonce_rows(x[i : i + 4], y, 0.07, masked[i : i + 4], i)
        + infonce_rows(y[i : i + 4], x, 0.07, masked.T[i : i + 4], i)
        for i in (0, 4)
    ]
    assert torch.allclose(torch.stack(parts).sum(0) / 4, infonce(x, y, 0.07, masked), atol=1e-14)
    parts = [sigmoid_rows(x[i : i + 4], y, 10.0, -10.0, masked[i : i + 4], i) for i in (0, 4)]
    assert torch.allclose(torch.stack(parts).sum(0) / 2, sigmoid(x, y, 10.0, -10.0, masked), atol=1e-14)
