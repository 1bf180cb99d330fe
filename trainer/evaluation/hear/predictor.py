"""HEAR's predictor: a small network on frozen embeddings, trained as the HEAR 2021 kit trains it (2203.03022, B.2).

Adam, batches of 1024 in one fixed order, batch norm and dropout 0.1 in hidden layers of 1024, up to 500 epochs, a look
at the validation split every third, a stop after twenty looks without a better score; a grid of 16 points, eight tried.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from shared.core.errors import UsageError


class GridPoint(NamedTuple):
    """One point of the grid."""

    hidden_layers: int = 1
    hidden_dim: int = 1024
    dropout: float = 0.1
    lr: float = 1e-3
    patience: int = 20
    max_epochs: int = 500
    check_val_every_n_epoch: int = 3
    batch_size: int = 1024
    initialization: str = "xavier_uniform_"


DEFAULT: dict[str, list[Any]] = {
    "hidden_layers": [1, 2],
    "lr": [3.2e-3, 1e-3, 3.2e-4, 1e-4],
    "initialization": ["xavier_uniform_", "xavier_normal_"],
}
GRIDS: dict[str, dict[str, list[Any]]] = {
    "default": DEFAULT,
    "fast": DEFAULT | {"max_epochs": [10, 50], "check_val_every_n_epoch": [3, 10]},
    "faster": DEFAULT
    | {
        "hidden_layers": [0, 1],
        "hidden_dim": [64, 128],
        "patience": [1, 3],
        "max_epochs": [10],
        "check_val_every_n_epoch": [1],
    },
}
"""HEAR's three grids; the published figures are of the first, of which it tries eight points."""

Scorer = Callable[[np.ndarray], tuple[float, Any]]
"""Predictions of the validation split ``[items, classes]`` → how good (higher is better), and what was chosen on it."""


class Fitted(NamedTuple):
    """A trained predictor; ``chosen`` is what the scorer chose at the best epoch."""

    network: nn.Module
    multilabel: bool
    score: float
    epoch: int
    chosen: Any


def points(grid: str, count: int, seed: int, special: Mapping[str, Sequence[Any]] | None = None) -> list[GridPoint]:
    """Points of a grid in random order, at most ``count``.

    Args:
        grid: default, fast or faster.
        count: How many are tried.
        seed: Of their order.
        special: Values that a task asks for instead.

    Raises:
        UsageError: ``bad_setting`` if there is no such grid or a task's value is unknown.
    """
    if grid not in GRIDS:
        raise UsageError(f"There is no grid “{grid}” (known: {', '.join(GRIDS)}).", code="bad_setting", key="grid")
    values = GRIDS[grid] | {key: list(value) for key, value in (special or {}).items()}
    unknown = set(values) - set(GridPoint._fields)
    if unknown:
        raise UsageError(f"A task asks for {', '.join(sorted(unknown))} in its grid.", code="bad_setting", key="grid")
    every = [GridPoint(**dict(zip(values, row, strict=True))) for row in itertools.product(*values.values())]
    order = np.random.default_rng(seed).permutation(len(every))[:count]
    return [every[index] for index in order]


def network_of(point: GridPoint, features: int, classes: int) -> nn.Sequential:
    """Hidden layers (linear, batch norm, dropout, ReLU) and a linear output, initialised by Xavier's rule."""
    layers: list[nn.Module] = []
    width, activation = features, "linear"
    for size in [point.hidden_dim] * point.hidden_layers:
        layers += [initial(point, width, size, activation), nn.BatchNorm1d(size), nn.Dropout(point.dropout), nn.ReLU()]
        width, activation = size, "relu"
    return nn.Sequential(*layers, initial(point, width, classes, activation))


def initial(point: GridPoint, width: int, size: int, activation: Any) -> nn.Linear:
    linear = nn.Linear(width, size)
    getattr(nn.init, point.initialization)(linear.weight, gain=nn.init.calculate_gain(activation))
    return linear


def fit(
    train: tuple[np.ndarray, np.ndarray],
    valid: tuple[np.ndarray, np.ndarray],
    point: GridPoint,
    scorer: Scorer | None,
    *,
    multilabel: bool,
    seed: int,
    device: str = "cpu",
) -> Fitted:
    """Train one predictor and keep it as it was when the validation split liked it best.

    Args:
        train: Embeddings float32 ``[items, features]`` and targets ``[items, classes]``.
        valid: The same of the split that stops.
        point: Settings.
        scorer: Of validation predictions; None: their loss decides.
        multilabel: Sigmoids and binary cross-entropy, else softmax and cross-entropy.
        seed: Of weights, dropout and the order of items.
        device: Where to train.
    """
    with torch.random.fork_rng(devices=[] if device == "cpu" else None):
        torch.manual_seed(seed)
        network = network_of(point, train[0].shape[1], train[1].shape[1]).to(device)
        optimiser = torch.optim.Adam(network.parameters(), lr=point.lr)
        # The kit shuffles items once, when it lays embeddings out, and not again in every epoch.
        order = torch.randperm(len(train[0]))
        inputs = torch.from_numpy(train[0])[order].to(device)
        targets = torch.from_numpy(train[1]).float()[order].to(device)
        held, truth = torch.from_numpy(valid[0]).to(device), torch.from_numpy(valid[1]).float().to(device)
        loss = nn.BCEWithLogitsLoss() if multilabel else nn.CrossEntropyLoss()
        best = Fitted(network, multilabel, -np.inf, -1, None)
        waited = 0
        for epoch in range(point.max_epochs):
            network.train()
            for start, stop in batches(len(inputs), point.batch_size):
                optimiser.zero_grad(set_to_none=True)
                loss(network(inputs[start:stop]), targets[start:stop]).backward()
                optimiser.step()
            if (epoch + 1) % point.check_val_every_n_epoch:
                continue
            logits = logits_of(network, held)
            if scorer is None:
                score, chosen = -float(loss(logits, truth)), None
            else:
                score, chosen = scorer(probabilities(logits, multilabel))
            if score > best.score or best.epoch < 0:
                best = Fitted(copy.deepcopy(network), multilabel, score, epoch, chosen)
                waited = 0
            else:
                waited += 1
                if waited >= point.patience:
                    break
    return best if best.epoch >= 0 else best._replace(network=network, epoch=point.max_epochs - 1)


def predict(fitted: Fitted, inputs: np.ndarray) -> np.ndarray:
    """Probabilities, float32 ``[items, classes]``."""
    device = next(fitted.network.parameters()).device
    return probabilities(logits_of(fitted.network, torch.from_numpy(inputs).to(device)), fitted.multilabel)


@torch.no_grad()
def logits_of(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    network.eval()
    return torch.cat([network(inputs[start:stop]) for start, stop in batches(len(inputs), 8192)])


def probabilities(logits: torch.Tensor, multilabel: bool) -> np.ndarray:
    return (logits.sigmoid() if multilabel else logits.softmax(1)).cpu().numpy()


def batches(items: int, size: int) -> list[tuple[int, int]]:
    """Ranges of ``size``; a last one of a single item joins the one before, for batch norm cannot take it alone."""
    starts = list(range(0, items, size))
    if len(starts) > 1 and items - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], items], strict=True))
