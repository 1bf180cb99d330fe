"""Two processes over gloo, each with its half of the batch, against one process with all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tests.unit.trainer.objective import small
from trainer.model import Model
from trainer.objective import Gather, Objective, gather, gradcache
from trainer.recipe import Recipe, recipe_from
from trainer.training.processes import ProcessGroup
from trainer.training.step import Learner

WORLD = 2
CASES: dict[str, dict[str, Any]] = {
    "infonce": {},
    "learnt": {"learn_temperature": True},
    "sigmoid": {"loss": "sigmoid", "learn_temperature": True, "temperature": 0.1, "bias": -5.0},
    "unmasked": {"mask_same_shot": False},
}


def half(rank: int) -> Any:
    return {key: x.chunk(WORLD)[rank] for key, x in small.batch().items()}


def plain(rank: int, settings: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The plain step's gradients in one of the processes, averaged by DistributedDataParallel."""
    model, objective = small.Small(), small.objective(**settings)
    network = DistributedDataParallel(model)  # kept: its hooks average the gradients for as long as it lives
    objective(network(half(rank)), half(rank)["shot"], Gather.here()).total.backward()
    return small.gradients(model, objective)


def cached(rank: int, settings: dict[str, Any], *, norm: bool = False) -> dict[str, torch.Tensor]:
    model, objective = small.Small(norm=norm), small.objective(**settings)
    network = DistributedDataParallel(model)
    gradcache.step(
        gradcache.PartEncoding(
            network,
            model,
            (lambda part: {model.norms[name]: x for name, x in model.inputs(part).items()}) if norm else None,
            no_sync=network.no_sync,
        ),
        gradcache.split(half(rank), 4),  # 4 and 2 shots
        objective,
        Gather.here(),
    )
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    return {**small.gradients(model, objective), **buffers}


class WithNorms(small.Small):
    """As the learner sees a model."""

    def __init__(self) -> None:
        super().__init__(norm=True)

    def input_norms(self, inputs: Any) -> dict[nn.Module, torch.Tensor]:
        return {self.norms[name]: x for name, x in self.inputs(inputs).items()}


def learnt(inputs: Any, processes: ProcessGroup) -> dict[str, torch.Tensor]:
    """Gradients and buffers of one step of the learner, the whole batch of a process at once."""
    model, objective = WithNorms(), small.objective()
    Learner(model, objective, recipe_from({"running": {"precision": "fp32"}}), processes)(inputs)  # type: ignore[arg-type]
    return {**small.gradients(model, objective), **dict(model.named_buffers())}


TOWERS = ("tiny video", "tiny audio", "mvit video", "mvit audio", "x3d_m video", "acoustic_resnet50 audio")
CHUNKED = tuple(case for case in TOWERS if not case.startswith(("x3d", "acoustic")))
"""Batch norms deep inside need the batch at once, so the others refuse objective.chunk."""
SIZE = 64


def tower_recipe(case: str, chunk: int) -> Recipe:
    """A real tower of one modality, both of whose tracks are compared."""
    kind, _, modality = case.partition(" ")
    tower = {"kind": kind, "patches": "nonoverlap"}
    video = modality == "video"
    return recipe_from(
        {
            "video": {"frames": 4, "size": SIZE},
            "audio": {"mels": 64, "seconds": 0.7},
            "model": {"video": tower if video else None, **({} if video else {"audio": tower})},
            "objective": {"terms": {}, "lambda_v" if video else "lambda_a": 1.0, "chunk": chunk},
            "running": {"precision": "fp32"},
        }
    )


def tower_batch(case: str) -> dict[str, torch.Tensor]:
    """Four shots; those of the second process are louder and brighter."""
    generator = torch.Generator().manual_seed(1)
    louder = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(4, 1, 1, 1, 1)
    if case.endswith("video"):
        pictures = torch.randint(0, 100, (2, 4, 4, SIZE, SIZE, 3), generator=generator) + (120 * louder).int()
        return {"v_p": pictures[0].byte(), "v_s": pictures[1].byte(), "shot": torch.tensor([0, 1, 1, 3])}
    sounds = torch.randn(2, 4, 1, 64, 68, generator=generator) * 20 - 40 + 30 * louder.squeeze(-1)
    return {"a_p": sounds[0], "a_s": sounds[1], "shot": torch.tensor([0, 1, 1, 3])}


def tower_step(case: str, chunk: int, inputs: dict[str, torch.Tensor], processes: ProcessGroup) -> Any:
    """Gradients and buffers of one step of the learner with a real tower, in fp64 up to the embedding's direction.

    With fresh weights and few shots, rounding in fp32 grows to a hundredth through 50 layers.
    """
    torch.manual_seed(0)
    recipe = tower_recipe(case, chunk)
    model = Model(recipe).double()
    for tower in filter(None, (model.video, model.audio)):
        tower.register_forward_pre_hook(lambda tower, clips: (clips[0].double(),))
    Learner(model, Objective(recipe), recipe, processes)(inputs)
    return {**small.gradients(model), **{name: buffer.clone() for name, buffer in model.named_buffers()}}


class WithoutGradient(torch.autograd.Function):
    """The naive gather: others' embeddings are constants."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, where: gather.Gather) -> torch.Tensor:
        ctx.first, ctx.count = where.rank * len(x), len(x)
        parts = [torch.empty_like(x) for _ in range(where.world)]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient[ctx.first : ctx.first + ctx.count], None


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    try:
        found = {name: plain(rank, settings) for name, settings in CASES.items()}
        found |= {f"cached {name}": cached(rank, settings) for name, settings in CASES.items()}
        found["cached norm"] = cached(rank, {}, norm=True)
        found["as trained"] = learnt(half(rank), ProcessGroup(rank, WORLD))
        found["apart"] = plain(rank, {"gather": False, "learn_temperature": True})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gather, "GatherWithGradient", WithoutGradient)
            found["naive"] = plain(rank, {})
        torch.save(found, Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def with_towers(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    try:
        found = {}
        for chunk, cases in ((0, TOWERS), (1, CHUNKED)):
            for case in cases:
                mine = {name: x.chunk(WORLD)[rank] for name, x in tower_batch(case).items()}
                found[f"{case} {chunk}"] = tower_step(case, chunk, mine, ProcessGroup(rank, WORLD))
        torch.save(found, Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()
