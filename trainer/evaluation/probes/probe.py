"""Probes on frozen embeddings trained by a fixed schedule: linear or with hidden layers, classes or a value."""

from __future__ import annotations

import itertools
import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import nn


class Schedule(NamedTuple):
    """How a probe is trained; half-cosine to zero after a linear warm-up."""

    optimiser: Literal["sgd", "adam"] = "sgd"
    rate: float = 0.2
    epochs: int = 200
    steps: int = 0
    """Instead of epochs, if above 0."""
    warmup: int = 0
    """Steps."""
    batch: int = 1024
    momentum: float = 0.9
    """Of SGD; the paper does not state it."""


PAPER = Schedule()
"""UCF101, HMDB51, VGGSound: SGD 0.2, cosine, 200 epochs, batch 1024 (supplement, B.3.1)."""
HARES = Schedule("adam", 2e-4, 0, 400_000, 5_000, 64)
"""TUT18, Fluent Speech Commands, VoxForge: Adam 2e-4, 400k steps, 5k warm-up, cosine, batch 64 (supplement, B.3.1)."""


class Shape(NamedTuple):
    """Of a probe: no hidden layers is a linear one."""

    hidden: int = 0
    width: int = 512
    dropout: float = 0.0
    normalise: bool = True
    """Standardise inputs by the training split."""


LINEAR = [Shape()]
GRID = [
    Shape(hidden, width, dropout, normalise)
    for hidden, width, dropout, normalise in itertools.product((0, 1, 2), (512, 1024), (0.0, 0.5), (True, False))
    if hidden or (width == 512 and not dropout)
]
"""Linear and MLP probes that the validation split chooses from; the paper names a grid search, not its points."""


class Trained(NamedTuple):
    """A probe, and how inputs and values are standardised."""

    network: nn.Module
    mean: np.ndarray
    scale: np.ndarray
    value: tuple[float, float]
    """Mean and scale of a regression's values; (0, 1) for classes."""


def train(
    inputs: np.ndarray,
    targets: np.ndarray,
    shape: Shape,
    schedule: Schedule,
    *,
    classes: int,
    seed: int = 0,
    device: str = "cpu",
) -> Trained:
    """Train one probe.

    Args:
        inputs: float32 ``[items, features]``.
        targets: int ``[items]`` below ``classes``; float ``[items]`` for a regression.
        shape: Of the network.
        schedule: Of the training.
        classes: How many; 0: a regression, by squared error of what the last layer gives over the root of its width.
        seed: Of weights, dropout and the order of items.
        device: Where it trains.
    """
    mean, scale = np.zeros(inputs.shape[1], np.float32), np.ones(inputs.shape[1], np.float32)
    if shape.normalise:
        mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
        scale = np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32)
    # Squared error has no bound to its steps: without the width in it, a rate of 0.2 leaves every bound behind.
    width = 1.0 if classes else math.sqrt(shape.width if shape.hidden else inputs.shape[1])
    value = (0.0, 1.0) if classes else (float(np.mean(targets)), (float(np.std(targets)) or 1.0) / width)
    goal = torch.from_numpy(targets if classes else ((targets - value[0]) / value[1]).astype(np.float32)).to(device)
    data = torch.from_numpy((inputs - mean) / scale).to(device)
    with torch.random.fork_rng(devices=[] if device == "cpu" else None):
        torch.manual_seed(seed)
        network = network_of(inputs.shape[1], classes or 1, shape).to(device)
        order = torch.Generator().manual_seed(seed)
        if schedule.optimiser == "sgd":
            optimiser: torch.optim.Optimizer = torch.optim.SGD(network.parameters(), schedule.rate, schedule.momentum)
        else:
            optimiser = torch.optim.Adam(network.parameters(), schedule.rate)
        a_pass = math.ceil(len(data) / schedule.batch)
        steps = schedule.steps or schedule.epochs * a_pass
        step = 0
        network.train()
        while step < steps:
            for rows in torch.split(torch.randperm(len(data), generator=order).to(device), schedule.batch):
                for group in optimiser.param_groups:
                    group["lr"] = schedule.rate * factor(step, steps, schedule.warmup)
                optimiser.zero_grad(set_to_none=True)
                outputs = network(data[rows])
                if classes:
                    loss = nn.functional.cross_entropy(outputs, goal[rows])
                else:
                    loss = nn.functional.mse_loss(outputs[:, 0], goal[rows]) / width**2
                torch.autograd.backward(loss)
                optimiser.step()
                step += 1
                if step == steps:
                    break
    return Trained(network.eval(), mean, scale, value)


def factor(step: int, steps: int, warmup: int) -> float:
    """Of the peak rate: linear up to it, then half a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def network_of(features: int, outputs: int, shape: Shape) -> nn.Sequential:
    """Hidden layers with ReLU and dropout, then a linear one; layer norms keep a rate of 0.2 stable."""
    layers: list[nn.Module] = []
    width = features
    for _ in range(shape.hidden):
        layers += [nn.Linear(width, shape.width), nn.LayerNorm(shape.width), nn.ReLU(), nn.Dropout(shape.dropout)]
        width = shape.width
    return nn.Sequential(*layers, nn.Linear(width, outputs))


@torch.no_grad()
def predict(trained: Trained, inputs: np.ndarray) -> np.ndarray:
    """Probabilities ``[items, classes]``, or values ``[items, 1]`` of a regression; float32."""
    device = next(trained.network.parameters()).device
    outputs: torch.Tensor = trained.network(torch.from_numpy((inputs - trained.mean) / trained.scale).to(device))
    if outputs.shape[1] > 1:
        return outputs.softmax(1).cpu().numpy()
    values: np.ndarray = outputs.cpu().numpy() * trained.value[1] + trained.value[0]
    return values
