"""All that a training is between two steps: put into a checkpoint, and taken out again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from shared.core.errors import UsageError
from trainer.feed import Feed
from trainer.frontend.mel import MelFrontEnd
from trainer.model import Model
from trainer.objective import Objective
from trainer.recipe import Recipe, first_difference, recipe_from
from trainer.training.optimiser import adamw
from trainer.training.processes import ProcessGroup


class TrainingState:
    """Model, objective, optimiser, moving average, feed, and the generator of masks, on the processes' device.

    Attributes:
        step: Steps done.
        average: Moving average of the weights, or None.
        masks: Draws the masks of this process.
    """

    def __init__(self, recipe: Recipe, feed: Feed, processes: ProcessGroup) -> None:
        seed_everything(recipe.running.seed)  # the same weights in every process
        self.recipe, self.feed, self.processes = recipe, feed, processes
        device = processes.device
        self.model = Model(recipe).to(device)
        self.objective = Objective(recipe).to(device)
        self.front = MelFrontEnd(recipe.audio).to(device)
        decay = recipe.optimiser.ema
        blend = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.average = AveragedModel(self.model, multi_avg_fn=blend) if decay else None
        self.optimiser = adamw(self.model, self.objective, recipe.optimiser, device)
        seed_everything(recipe.running.seed + processes.rank)  # other masks and paths in each
        self.masks = torch.Generator(device).manual_seed(recipe.running.seed + processes.rank)
        self.step = 0

    @property
    def measured(self) -> Model:
        """The model to measure and to use: the moving average where one is kept."""
        return cast(Model, self.average.module) if self.average is not None else self.model

    def state(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        """What a checkpoint holds, with this state of the feed; to be asked for in all processes at once."""
        own = {"random": random_states(self.processes.device), "masks": self.masks.get_state()}
        return {
            "step": self.step,
            "recipe": self.recipe.model_dump(mode="json"),
            "model": self.model.state_dict(),
            "ema": self.average.module.state_dict() if self.average is not None else None,
            "averaged": int(self.average.n_averaged) if self.average is not None else 0,
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "processes": self.processes.gathered({**own, "feed": dict(feed)}),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a checkpoint was written.

        Raises:
            UsageError: ``other_recipe``, ``other_processes`` (another number of them), or the feed's ``other_data``.
        """
        key = first_difference(recipe_from(dict(state["recipe"])), self.recipe)
        if key is not None:
            raise UsageError(
                f"The checkpoint is of another recipe: “{key}” is not the same. Choose another folder, or start over "
                "with --fresh.",
                code="other_recipe",
                key=key,
            )
        everyone = state["processes"]
        if len(everyone) != self.processes.world:
            raise UsageError(
                f"The checkpoint was written by {len(everyone)} processes and {self.processes.world} are training now. "
                f"Start {len(everyone)}.",
                code="other_processes",
            )
        own = everyone[self.processes.rank]
        self.feed.load_state_dict(own["feed"])
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.module.load_state_dict(state["ema"])
            self.average.n_averaged.fill_(state["averaged"])
        self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.masks.set_state(own["masks"])
        put_random_states(own["random"], self.processes.device)
        self.step = state["step"]


def seed_everything(seed: int) -> None:
    """Torch's generators on all devices, numpy's old one and Python's."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_states(device: torch.device) -> dict[str, Any]:
    """Plain values and tensors, as ``weights_only`` loads them."""
    name, keys, *rest = np.random.get_state(legacy=True)
    states = {
        "torch": torch.get_rng_state(),
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "python": random.getstate(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def put_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    torch.set_rng_state(states["torch"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
