"""One step: a batch's losses and their gradients, at once or part by part."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainer.model import Model
from trainer.objective import Gather, Losses, Objective
from trainer.objective.gradcache import PartEncoding, split, step
from trainer.objective.synchronised_norm import synchronise
from trainer.recipe import Recipe
from trainer.training.processes import ProcessGroup


class Learner:
    """Runs the model forward and backward as the recipe says: precision, compiled or not, one process or many."""

    def __init__(self, model: Model, objective: Objective, recipe: Recipe, processes: ProcessGroup) -> None:
        self.model, self.objective = model, objective
        self.gather = Gather.here()
        self.device = processes.device
        self.bf16 = recipe.running.precision == "bf16"
        self.chunk = recipe.objective.chunk
        if processes.world > 1:
            synchronise(model, self.gather, processes.device)
        if recipe.running.compile:
            for tower in (model.video, model.audio):
                if tower is not None:
                    tower.compile()
        self.network: nn.Module = model
        if processes.world > 1:
            on = [processes.device] if processes.device.type == "cuda" else None
            self.network = DistributedDataParallel(model, device_ids=on)

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def encode(self, inputs: Any) -> Mapping[str, Tensor]:
        with self.autocast():
            outputs: Mapping[str, Tensor] = self.network(inputs)
        return outputs

    def __call__(self, inputs: dict[str, Tensor]) -> Losses:
        """Add the gradients of :func:`trainer.model.prepared` shots to the parameters'; the processes' mean."""
        if not 0 < self.chunk < len(inputs["shot"]):
            losses = self.objective(self.encode(inputs), inputs["shot"], self.gather)
            losses.total.backward()
            return Losses(losses.total.detach(), losses.by_term)
        parts = split(inputs, self.chunk)
        waiting = self.network.no_sync if isinstance(self.network, DistributedDataParallel) else nullcontext
        encoding = PartEncoding(self.encode, self.model, self.model.input_norms, no_sync=waiting)
        return step(encoding, parts, self.objective, self.gather)
