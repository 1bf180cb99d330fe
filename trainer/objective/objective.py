"""The sum that a recipe asks for: a loss for each pair of streams with a weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainer.objective.gather import ALONE, Gather
from trainer.objective.losses import exact, infonce_rows, sigmoid_rows
from trainer.recipe import Recipe

LARGEST_SCALE = 100.0
"""Of a learnt temperature's inverse, as CLIP has it (arXiv 2103.00020, section 2.5)."""


class Losses(NamedTuple):
    total: Tensor
    """Scalar with gradient: this process's share, the mean of which over the processes is the whole batch's."""
    by_term: dict[str, Tensor]
    """Each term before its weight, scalar without gradient."""


class Objective(nn.Module):
    """Contrastive loss over a recipe's matrix of terms, with λ_v and λ_a among them (paper, section 3).

    A learnt temperature (``objective.learn_temperature``), and with it the sigmoid's bias, are parameters of this
    module: give them to the optimiser, without decay. Their gradient is the processes' mean already.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        settings = recipe.objective
        self.weights = recipe.weights()
        self.streams = sorted(recipe.streams())
        self.loss = settings.loss
        self.gather_negatives = settings.gather
        self.mask_same_shot = settings.mask_same_shot
        self.initial = (settings.temperature, settings.bias)
        self.learnt = settings.learn_temperature
        if self.learnt:
            self.log_scale = nn.Parameter(-torch.tensor(settings.temperature).log())
            if settings.loss == "sigmoid":
                self.bias = nn.Parameter(torch.tensor(settings.bias))

    @property
    def temperature(self) -> float:
        """What similarities are divided by now; for the metrics."""
        return 1 / float(self.log_scale.detach().exp()) if self.learnt else self.initial[0]

    def scale_and_bias(self, gather: Gather) -> tuple[Tensor | float, Tensor | float]:
        """Factor of the similarities, and what the sigmoid loss adds to them."""
        temperature, bias = self.initial
        if not self.learnt:
            return 1 / temperature, bias
        with torch.no_grad():  # not in the graph: a clamped value would have no gradient to come back with
            self.log_scale.clamp_(max=math.log(LARGEST_SCALE))
        scale = gather.shared(self.log_scale).exp()
        return scale, gather.shared(self.bias) if self.loss == "sigmoid" else bias

    def forward(self, embeddings: Mapping[str, Tensor], shot: Tensor, gather: Gather = ALONE) -> Losses:
        """One step's losses.

        Args:
            embeddings: Stream → ``[B, D]``, rows of length 1, for each stream that the recipe reads.
            shot: int64 ``[B]``; rows of the same number are no negatives of one another, here or across processes.
            gather: The processes that train together; each has the same B.
        """
        own = torch.stack([exact(embeddings[stream]) for stream in self.streams], dim=1)
        everyone = gather if self.gather_negatives else ALONE
        among, shots = everyone(own), everyone(shot)  # one collective for all streams
        masked = shot[:, None] == shots[None, :] if self.mask_same_shot else None
        first = everyone.rank * len(shot)
        scale, bias = self.scale_and_bias(gather)
        terms = {}
        for name in self.weights:
            left, right = (self.streams.index(stream) for stream in name.split("|"))
            if self.loss == "sigmoid":
                terms[name] = sigmoid_rows(own[:, left], among[:, right], scale, bias, masked, first)
            else:
                there = infonce_rows(own[:, left], among[:, right], 1 / scale, masked, first)
                back = infonce_rows(own[:, right], among[:, left], 1 / scale, masked, first)
                terms[name] = (there + back) / 2
        total = torch.stack([self.weights[name] * loss for name, loss in terms.items()]).sum()
        return Losses(total, {name: loss.detach() for name, loss in terms.items()})
