"""AdamW, what it does not decay, and the rate of each step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from trainer.recipe import OptimiserSettings

UNDECAYED = ("cls_token", "rel_pos", "pos_embed")
"""Parts of names of parameters that are no weights of a layer (as MViT has it, arXiv 2104.11227, appendix)."""


def adamw(
    model: nn.Module, objective: nn.Module, settings: OptimiserSettings, device: torch.device
) -> torch.optim.AdamW:
    """AdamW over the model, and over what the objective learns; biases, norms and the like are not decayed."""
    decayed: list[nn.Parameter] = []
    undecayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (undecayed if is_undecayed(name, parameter) else decayed).append(parameter)
    undecayed += [parameter for parameter in objective.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.rate, betas=settings.betas, fused=device.type == "cuda")


def is_undecayed(name: str, parameter: torch.Tensor) -> bool:
    return parameter.ndim <= 1 or any(part in name for part in UNDECAYED)


def steps_of(settings: OptimiserSettings, steps_per_epoch: int) -> tuple[int, int]:
    """All steps of a training and those of its warm-up."""
    if settings.steps:
        return settings.steps, settings.warmup_steps
    return math.ceil(settings.epochs * steps_per_epoch), round(settings.warmup_epochs * steps_per_epoch)


def rate_at(step: int, steps: int, warmup: int, settings: OptimiserSettings) -> float:
    """Learning rate of step ``step`` (from 0): up in a line, then down half a cosine to ``final_rate`` of the peak."""
    if step < warmup:
        return settings.rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    share = settings.final_rate + (1 - settings.final_rate) * (1 + math.cos(math.pi * min(1.0, done))) / 2
    return settings.rate * share


def trained(model: nn.Module, objective: nn.Module) -> Iterator[nn.Parameter]:
    """Everything that has a gradient."""
    for module in (model, objective):
        yield from (parameter for parameter in module.parameters() if parameter.requires_grad)
