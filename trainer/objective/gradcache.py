"""Batches larger than memory: the gradient of the whole batch, with the activations of one part at a time.

GradCache (Gao et al., arXiv 2101.06983): encode part by part without gradient; the loss over all embeddings gives each
embedding's gradient; encode part by part again, now with gradient, and hand each part's on. It is exact as long as
the second encoding is the first one again, so random states are put back and batch norms get the whole batch's
statistics beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer.objective.gather import ALONE, Gather
from trainer.objective.objective import Losses, Objective
from trainer.objective.statistics import Part, frozen, of_whole_batch, refuse_other_norms


def split(batch: Part, chunk: int) -> list[Part]:
    """A batch in parts of ``chunk`` shots (views, no copies; the last may be smaller); ``chunk`` 0: as it is."""
    count = len(batch["shot"])
    size = chunk or count
    return [{key: value[i : i + size] for key, value in batch.items()} for i in range(0, count, size)]


@dataclass(frozen=True)
class PartEncoding:
    """How a part is encoded, and what makes encoding it again give the same."""

    encode: Callable[[Part], Mapping[str, Tensor]]
    """A part's shots → stream → ``[b, D]`` embeddings of length 1, under autocast if there is any, with the model as it
    trains (through DistributedDataParallel where there are several processes)."""
    model: nn.Module
    """What ``encode`` runs."""
    norms: Callable[[Part], Mapping[nn.Module, Tensor]] | None = None
    """A part → each of the model's input batch norms → all that ``encode`` puts into it, ``[b, C, …]``. Their
    statistics are then taken once over all parts of all processes, and their moving averages take one step. Other
    batch norms are refused: what enters them depends on parameters."""
    generators: Sequence[torch.Generator] = ()
    """Those that ``encode`` draws from besides torch's own; ``norms`` must draw from them as ``encode`` does, and from
    no other."""
    no_sync: Callable[[], AbstractContextManager[Any]] = nullcontext
    """DistributedDataParallel's, so that gradients are averaged once, after the last part."""


def step(encoding: PartEncoding, parts: Sequence[Part], objective: Objective, gather: Gather = ALONE) -> Losses:
    """Losses of a batch, and their gradients added to the parameters'.

    Args:
        encoding: How a part is encoded.
        parts: The batch from :func:`split`; as many in each process.
        objective: Sees all embeddings at once.
        gather: As for the objective.

    Returns:
        Losses without gradient.

    Raises:
        UsageError: ``chunked_batch_norm``: a batch norm in training mode that is not among the encoding's ``norms``.
    """
    encode, generators = encoding.encode, encoding.generators
    start = take(generators)
    statistics = of_whole_batch(encoding.norms, parts, gather) if encoding.norms else {}
    put(generators, start)
    refuse_other_norms(encoding.model, set(statistics))
    with ExitStack() as stack:
        for norm, of_batch in statistics.items():
            stack.enter_context(frozen(norm, of_batch))
        states: list[list[Tensor]] = []
        encoded: list[Mapping[str, Tensor]] = []
        with torch.no_grad():
            for part in parts:
                states.append(take(generators))
                encoded.append(encode(part))
        torch.clear_autocast_cache()  # older torch would use what was cast without gradient
        whole = {name: torch.cat([part[name] for part in encoded]).requires_grad_() for name in encoded[0]}
        losses = objective(whole, torch.cat([part["shot"] for part in parts]), gather)
        losses.total.backward()
        end, first = take(generators), 0
        for number, part in enumerate(parts):
            put(generators, states[number])
            with nullcontext() if number == len(parts) - 1 else encoding.no_sync():
                again = encode(part)
                count = len(part["shot"])
                hand_on(again, {name: x.grad[first : first + count] for name, x in whole.items() if x.grad is not None})
            first += count
        put(generators, end)
    return Losses(losses.total.detach(), losses.by_term)


def hand_on(embeddings: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
    """Backward from embeddings whose gradients are known; those of a tower that does not train have none to hand on."""
    names = [name for name in gradients if embeddings[name].requires_grad]
    torch.autograd.backward([embeddings[name] for name in names], [gradients[name] for name in names])


def take(generators: Sequence[torch.Generator]) -> list[Tensor]:
    """The random states of torch on the CPU, on the current CUDA device if it is in use, and of ``generators``."""
    on_device: list[Tensor] = []
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it untyped
        on_device = [torch.cuda.get_rng_state()]
    return [*(generator.get_state() for generator in generators), torch.get_rng_state(), *on_device]


def put(generators: Sequence[torch.Generator], states: Sequence[Tensor]) -> None:
    """Back to what :func:`take` took."""
    for generator, state in zip(generators, states, strict=False):
        generator.set_state(state)
    torch.set_rng_state(states[len(generators)])
    for state in states[len(generators) + 1 :]:
        torch.cuda.set_rng_state(state)
