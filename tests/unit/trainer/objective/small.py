"""A small model of four streams, for the gradients of many cases in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from trainer.objective import Objective
from trainer.recipe import recipe_from

KEYS = {"v_p": "video_p", "v_s": "video_s", "a_p": "audio_p", "a_s": "audio_s"}
SHOTS = torch.tensor([0, 1, 2, 3, 4, 1, 6, 7, 0, 9, 10, 3])
"""Some shots twice: within what one of two processes has, and across them."""


class Small(nn.Module):
    """Two towers; optionally with a batch norm at their input, dropout, and a batch norm deeper inside."""

    def __init__(self, *, norm: bool = False, dropout: float = 0.0, inner: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norms = nn.ModuleDict({name: nn.BatchNorm2d(3) if norm else nn.Identity() for name in "va"})
        self.towers = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Flatten(),
                    nn.Linear(3 * 4 * 5, 16),
                    nn.BatchNorm1d(16) if inner else nn.Identity(),
                    nn.Tanh(),
                    nn.Dropout(dropout),
                    nn.Linear(16, 8),
                )
                for name in "va"
            }
        )
        self.double()

    def inputs(self, batch: Mapping[str, Any], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """What enters each tower: primary above secondary; a random half of the values is masked."""
        inputs = {name: torch.cat([batch[KEYS[f"{name}_p"]], batch[KEYS[f"{name}_s"]]]) for name in "va"}
        if generator is None:
            return inputs
        return {name: x * (torch.rand(x.shape, generator=generator) < 0.5) for name, x in inputs.items()}

    def forward(self, batch: Mapping[str, Any], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        embeddings = {}
        for name, x in self.inputs(batch, generator).items():
            out = normalize(self.towers[name](self.norms[name](x)), dim=1)
            embeddings[f"{name}_p"], embeddings[f"{name}_s"] = out.chunk(2)
        return embeddings


def batch(count: int = 12) -> Any:
    generator = torch.Generator().manual_seed(1)
    draws = {
        key: 3 * torch.randn(count, 3, 4, 5, generator=generator, dtype=torch.float64) - 2 for key in KEYS.values()
    }
    return {**draws, "shot": SHOTS[:count]}


def objective(**settings: Any) -> Objective:
    return Objective(recipe_from({"objective": {"lambda_v": 0.2, "lambda_a": 0.3, **settings}})).double()


def gradients(*modules: nn.Module) -> dict[str, Tensor]:
    named = [(f"{i}.{name}", p) for i, module in enumerate(modules) for name, p in module.named_parameters()]
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """Largest difference of a gradient, as a share of the largest gradient."""
    assert set(ours) == set(theirs) and ours
    largest = max(float(x.abs().max()) for x in theirs.values())
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours) / largest
