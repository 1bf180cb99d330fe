"""Cached gradients are the plain step's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import nn

from shared.core.errors import UsageError
from tests.unit.trainer.objective import small
from trainer.objective import Losses, gradcache

EXACT = 1e-12  # of gradients in fp64


def cached(
    model: small.Small,
    chunk: int,
    generator: torch.Generator | None = None,
    encode: Callable[[Any], Any] | None = None,
    **settings: Any,
) -> tuple[Losses, dict[str, torch.Tensor]]:
    objective = small.objective(**settings)
    norms = None
    if isinstance(model.norms["v"], nn.BatchNorm2d):

        def norms(part: Any) -> dict[nn.Module, torch.Tensor]:
            return {model.norms[name]: x for name, x in model.inputs(part, generator).items()}

    losses = gradcache.step(
        gradcache.PartEncoding(
            encode or (lambda part: model(part, generator)), model, norms, [generator] if generator else []
        ),
        gradcache.split(small.batch(), chunk),
        objective,
    )
    return losses, small.gradients(model, objective)


def plain(
    model: small.Small, chunk: int = 0, generator: torch.Generator | None = None, **settings: Any
) -> tuple[Losses, dict[str, torch.Tensor]]:
    """The whole graph in memory; random numbers are drawn part by part as the cached step draws them."""
    objective = small.objective(**settings)
    parts = [model(part, generator) for part in gradcache.split(small.batch(), chunk)]
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    losses = objective(whole, small.SHOTS)
    losses.total.backward()
    return losses, small.gradients(model, objective)


@pytest.mark.parametrize("chunk", [0, 1, 4, 5, 12, 100])
@pytest.mark.parametrize(
    "settings", [{}, {"mask_same_shot": False}, {"loss": "sigmoid", "learn_temperature": True, "temperature": 0.1}]
)
def test_the_plain_steps_gradient(chunk: int, settings: Any) -> None:
    ours, by_cache = cached(small.Small(), chunk, **settings)
    theirs, directly = plain(small.Small(), **settings)
    assert small.difference(by_cache, directly) < EXACT
    assert torch.allclose(ours.total, theirs.total, rtol=0, atol=EXACT)
    assert not ours.total.requires_grad
    assert {name: pytest.approx(float(x), abs=EXACT) for name, x in ours.by_term.items()} == theirs.by_term


def test_gradients_are_added_to_what_is_there() -> None:
    model = small.Small()
    cached(model, 4)
    _, twice = cached(model, 4)
    _, once = cached(small.Small(), 4)
    assert small.difference(twice, {name: 2 * x for name, x in once.items()}) < EXACT


def test_dropout_and_masks_are_the_same_both_times() -> None:
    def seeded() -> torch.Generator:
        torch.manual_seed(7)
        return torch.Generator().manual_seed(8)

    model = small.Small(dropout=0.5)
    generator = seeded()
    _, by_cache = cached(model, 4, generator)
    after = torch.rand(1), torch.rand(1, generator=generator)
    model.zero_grad()
    generator = seeded()
    _, directly = plain(model, 4, generator)
    assert small.difference(by_cache, directly) < EXACT
    assert after == (torch.rand(1), torch.rand(1, generator=generator))  # and chance goes on where it would have

    model.zero_grad()
    generator = seeded()
    unknown = torch.Generator().manual_seed(8)  # drawn from, but the step is not told of it
    _, wrong = cached(model, 4, generator, encode=lambda part: model(part, unknown))
    assert small.difference(wrong, directly) > 0.01


@pytest.mark.parametrize("momentum", [0.1, None])
def test_an_input_norm_sees_the_whole_batch_once(momentum: float | None) -> None:
    ours, theirs = small.Small(norm=True), small.Small(norm=True)
    for model in (ours, theirs):
        for norm in model.norms.values():
            cast(nn.BatchNorm2d, norm).momentum = momentum
    for _ in range(2):
        by_cache, directly = cached(ours, 4), plain(theirs)
        assert small.difference(by_cache[1], directly[1]) < 1e-7  # statistics are summed up in fp32
    for name, buffer in ours.named_buffers():
        assert torch.allclose(buffer, theirs.get_buffer(name), rtol=1e-6), name
    assert all(int(cast(Any, norm).num_batches_tracked) == 2 and norm.training for norm in ours.norms.values())

    _, by_parts = plain(small.Small(norm=True), 4)  # what would come of parts normalised one by one
    assert small.difference(by_parts, plain(small.Small(norm=True))[1]) > 0.01


def test_an_input_norm_behind_masks_draws_them_as_the_encoding_does() -> None:
    ours, theirs = small.Small(norm=True), small.Small(norm=True)
    _, by_cache = cached(ours, 12, torch.Generator().manual_seed(3))
    _, directly = plain(theirs, 12, torch.Generator().manual_seed(3))
    assert small.difference(by_cache, directly) < 1e-7


def test_a_failure_leaves_the_norm_as_it_was() -> None:
    model = small.Small(norm=True)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def encode(part: Any) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        cached(model, 4, encode=encode)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert all(norm.training for norm in model.norms.values())


def test_a_batch_norm_inside_is_refused() -> None:
    model = small.Small(inner=True)
    with pytest.raises(UsageError) as caught:
        cached(model, 4)
    assert caught.value.code == "chunked_batch_norm" and caught.value.details == {"norm": "towers.v.2"}
    cached(model.eval(), 4)  # fixed statistics are no trouble


def test_an_input_norm_that_is_not_told_of_is_refused() -> None:
    model = small.Small(norm=True)
    with pytest.raises(UsageError, match=r"norms\.v"):
        gradcache.step(gradcache.PartEncoding(model, model), gradcache.split(small.batch(), 4), small.objective())


def test_a_tower_that_does_not_train() -> None:
    model = small.Small()
    model.towers["v"].requires_grad_(False)
    _, by_cache = cached(model, 4)
    model.zero_grad()
    _, directly = plain(model)
    assert small.difference(by_cache, directly) < EXACT


def test_autocast_around_the_step() -> None:
    """Weights cast without gradient in the first pass must not be those of the second."""
    model = small.Small().float()
    batch = {key: x if key == "shot" else x.float() for key, x in small.batch().items()}
    with torch.autocast("cpu", torch.bfloat16):
        gradcache.step(gradcache.PartEncoding(model, model), gradcache.split(batch, 4), small.objective().float())
    by_cache = small.gradients(model)
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        small.objective().float()(model(batch), small.SHOTS).total.backward()
    assert small.difference(by_cache, small.gradients(model)) < 0.02


def test_only_one_part_is_in_memory_with_its_graph() -> None:
    alive, most = 0, 0

    class Held(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            nonlocal alive, most
            alive += len(x)
            most = max(most, alive)
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            nonlocal alive
            alive -= len(gradient)
            return gradient

    model = small.Small()

    def encode(part: Any) -> dict[str, torch.Tensor]:
        embeddings = model(part)
        return {n: Held.apply(x) for n, x in embeddings.items()} if torch.is_grad_enabled() else embeddings

    gradcache.step(gradcache.PartEncoding(encode, model), gradcache.split(small.batch(), 3), small.objective())
    assert (alive, most) == (0, 4 * 3)
