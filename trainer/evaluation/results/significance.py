"""Is one better than the other? Paired bootstrap over source recordings (Efron and Tibshirani 1993, chapter 16).

Clips of one recording are alike, so that recordings are drawn, not clips; both runs get the same draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from shared.core.errors import InputError
from trainer.evaluation.results.records import ERROR_RATE, F_MEASURE, RANKED, RATIO
from trainer.evaluation.scores import Ranking

DRAWS = 2000


class Comparison(NamedTuple):
    """A difference (one − other), its 95 % interval, and a two-sided p; ``sources`` drawn from."""

    difference: float
    low: float
    high: float
    p: float
    sources: int


Values = Callable[[np.ndarray], np.ndarray]
"""Weights of sources ``[draws, sources]`` → the metric of each draw ``[draws]``."""


class Measured(NamedTuple):
    """A metric as a function of how often each source counts."""

    sources: tuple[str, ...]
    values: Values


def from_counts(kind: str, sources: Sequence[str], counts: np.ndarray) -> Measured:
    """A metric that follows from counts ``[sources, n]``; kinds as in :mod:`trainer.evaluation.results.records`."""

    def values(weights: np.ndarray) -> np.ndarray:
        total = weights @ counts
        with np.errstate(invalid="ignore", divide="ignore"):
            if kind == RATIO:
                values: np.ndarray = total[:, 0] / total[:, 1]
            elif kind == F_MEASURE:
                values = np.nan_to_num(2 * total[:, 0] / (total[:, 1] + total[:, 2]))
            else:
                values = total[:, :3].sum(axis=1) / total[:, 3]
        return values

    return Measured(tuple(sources), values)


def from_predictions(score: str, predictions: np.ndarray, targets: np.ndarray, of: np.ndarray) -> Measured:
    """mAP, AUC or d′ from all predictions; ``of`` is the source of each."""
    names, place = np.unique(of, return_inverse=True)
    ranking = Ranking(predictions.astype(np.float64), targets)

    def values(weights: np.ndarray) -> np.ndarray:
        rows = []
        for weight in weights:
            item = weight[place]
            # A draw may miss a class altogether: the mean is over those it has.
            if score == "mAP":
                there = (item[:, None] * targets).sum(axis=0) > 0
                rows.append(ranking.average_precision(item)[there].mean())
            else:
                area = ranking.auc(item)
                each = ndtri(area) * np.sqrt(2) if score == "d_prime" else area
                rows.append(each[np.isfinite(each)].mean() if np.isfinite(each).any() else np.nan)
        return np.array(rows)

    return Measured(tuple(str(name) for name in names), values)


def measured(result: Mapping[str, Any], score: str) -> Measured | None:
    """The metric of a result, or None where the result keeps too little for it.

    Raises:
        InputError: ``not_a_result`` if the predictions beside it cannot be read.
    """
    kept = result.get("statistics", {}).get(score)
    if kept is None:
        return None
    if kept["kind"] in {RATIO, F_MEASURE, ERROR_RATE}:
        return from_counts(kept["kind"], kept["sources"], np.array(kept["counts"], dtype=np.float64))
    assert kept["kind"] == RANKED
    path: Path = result["path"].parent / Path(str(result.get("predictions", ""))).name
    try:
        with np.load(path, allow_pickle=False) as data:
            return from_predictions(score, data["predictions"], data["targets"], data["sources"])
    except (OSError, ValueError, KeyError) as error:
        name = result["path"].name
        raise InputError(f"The predictions beside “{name}” cannot be read.", code="not_a_result") from error


def mean_of(runs: Sequence[Measured]) -> Measured:
    """The mean over runs (seeds) of the same sources."""
    return Measured(runs[0].sources, lambda weights: np.mean([run.values(weights) for run in runs], axis=0))


def compare(one: Measured, other: Measured, draws: int = DRAWS, seed: int = 0) -> Comparison | None:
    """One minus the other; None if they are not of the same sources, or of one source only."""
    count = len(one.sources)
    if one.sources != other.sources or count < 2:
        return None
    every = np.ones((1, count))
    difference = float((one.values(every) - other.values(every))[0])
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
    drawn = one.values(weights) - other.values(weights)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    # Never 0: no more can be said than draws allow.
    tail = (1 + min((drawn <= 0).sum(), (drawn >= 0).sum())) / (len(drawn) + 1)
    return Comparison(difference, float(low), float(high), float(min(1.0, 2 * tail)), count)
