"""The weighted sum of terms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from tests.unit.trainer.objective import parity
from trainer.objective import Objective, infonce, sigmoid
from trainer.recipe import recipe_from


def objective(**settings: Any) -> Objective:
    return Objective(recipe_from({"objective": settings}))


def embeddings(count: int = 6, size: int = 8) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: normalize(torch.randn(count, size, generator=generator), dim=1) for name in parity.NAMES}


@pytest.mark.parametrize("combination", ["two_cross_plus_0.2_within", "all_six"])
def test_combined_terms_are_the_published_ones(combination: str) -> None:
    expected, arrays = parity.vectors()
    weights = dict(expected["combined"][combination]["weights"])
    within = {"lambda_v": weights.pop("v_p|v_s"), "lambda_a": weights.pop("a_p|a_s")}
    z = parity.raw()
    z["v_p"].requires_grad_()
    losses = objective(terms=weights, **within)({name: normalize(x, dim=1) for name, x in z.items()}, torch.arange(8))
    losses.total.backward()
    assert losses.total.item() == pytest.approx(expected["combined"][combination]["loss"], abs=1e-10)
    assert (z["v_p"].grad - torch.from_numpy(arrays[f"combined_grad_raw_v_p__{combination}"])).abs().max() < 1e-12


def test_each_term_by_its_weight() -> None:
    u = embeddings()
    losses = objective(terms={"v_p|a_p": 2.0, "v_s|a_s": 0.0}, lambda_v=0.5, lambda_a=0.25)(u, torch.arange(6))
    assert set(losses.by_term) == {"v_p|a_p", "v_p|v_s", "a_p|a_s"}
    for name, loss in losses.by_term.items():
        left, right = name.split("|")
        assert torch.allclose(loss, infonce(u[left], u[right], 0.07))
    cross, v, a = (losses.by_term[name] for name in ("v_p|a_p", "v_p|v_s", "a_p|a_s"))
    assert torch.allclose(losses.total, 2 * cross + 0.5 * v + 0.25 * a)


def test_only_the_streams_of_the_terms_are_asked_for() -> None:
    u = embeddings()
    settings = {"terms": {"v_p|a_p": 1.0}}
    only = objective(**settings)({name: u[name] for name in ("v_p", "a_p")}, torch.arange(6))
    assert only.total == objective(**settings)(u, torch.arange(6)).total


@pytest.mark.parametrize("loss", ["infonce", "sigmoid"])
def test_the_same_shot_twice_is_no_negative(loss: str) -> None:
    u = embeddings()
    shot = torch.tensor([5, 9, 5, 2, 3, 9])
    masked = (shot[:, None] == shot[None]) & ~torch.eye(6, dtype=torch.bool)
    plain = {"infonce": lambda *m: infonce(u["v_p"], u["a_p"], 0.1, *m)}
    plain["sigmoid"] = lambda *m: sigmoid(u["v_p"], u["a_p"], 10.0, -5.0, *m)
    settings = {"loss": loss, "temperature": 0.1, "bias": -5.0, "terms": {"v_p|a_p": 1.0}}
    assert torch.allclose(objective(**settings)(u, shot).total, plain[loss](masked))
    unmasked = objective(**settings, mask_same_shot=False)(u, shot).total
    assert torch.allclose(unmasked, plain[loss]())
    assert not torch.allclose(unmasked, plain[loss](masked))


def test_a_learnt_temperature_has_a_gradient_and_an_upper_limit() -> None:
    learnt = objective(learn_temperature=True)
    learnt(embeddings(), torch.arange(6)).total.backward()
    assert learnt.log_scale.grad != 0
    assert learnt.temperature == pytest.approx(0.07, rel=1e-6)
    with torch.no_grad():
        learnt.log_scale.fill_(9.0)
    learnt.log_scale.grad = None
    learnt(embeddings(), torch.arange(6)).total.backward()
    assert learnt.temperature == pytest.approx(0.01, rel=1e-5)
    assert learnt.log_scale.grad != 0  # so that it can come down again
    assert not list(objective().parameters())
    assert {name for name, _ in objective(loss="sigmoid", learn_temperature=True).named_parameters()} == {
        "log_scale",
        "bias",
    }


def test_half_precision_embeddings() -> None:
    u = embeddings()
    exact = objective()(u, torch.arange(6)).total
    half = {name: x.bfloat16() for name, x in u.items()}
    rounded = objective()({name: x.float() for name, x in half.items()}, torch.arange(6)).total
    with torch.autocast("cpu", torch.bfloat16):
        total = objective()(half, torch.arange(6)).total
    assert total.dtype == torch.float32 and torch.equal(total, rounded)
    assert total.item() == pytest.approx(exact.item(), rel=0.05)
