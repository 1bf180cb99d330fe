"""Scores of predictions, as HEAR 2021 names them (2203.03022, table 2).

All take predictions ``[items, classes]``, targets of the same shape (1 where the class holds) and whole-number weights
``[items]``: a weight of 2 counts as the same item twice, which is what a bootstrap over sources asks for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri


def top1_accuracy(predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Share of items whose highest prediction is their class."""
    return float(np.average(predictions.argmax(1) == targets.argmax(1), weights=weights))


def chroma_accuracy(predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Top-1 accuracy of pitches, octaves aside: classes are semitones in order."""
    return float(np.average(predictions.argmax(1) % 12 == targets.argmax(1) % 12, weights=weights))


class Ranking:
    """Predictions sorted once, so that a thousand bootstraps of them need no further sorting.

    Args:
        predictions: ``[items, classes]``.
        targets: ``[items, classes]``, 1 where the class holds.
    """

    def __init__(self, predictions: np.ndarray, targets: np.ndarray) -> None:
        self.order = np.argsort(-predictions, axis=0, kind="stable")
        ranked = np.take_along_axis(predictions, self.order, axis=0)
        self.holds = np.take_along_axis(targets, self.order, axis=0).astype(np.float64)
        items = np.arange(len(predictions))[:, None]
        differs = ranked[1:] != ranked[:-1]
        edge = np.ones((1, predictions.shape[1]), dtype=bool)
        # First and last place of the run of equal predictions that each place lies in.
        self.first = np.maximum.accumulate(np.where(np.concatenate([edge, differs]), items, 0), axis=0)
        last = np.where(np.concatenate([differs, edge]), items, len(predictions) - 1)
        self.last = np.minimum.accumulate(last[::-1], axis=0)[::-1]

    def average_precision(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Average precision of each class, ``[classes]``; 0 where a class has no item, as scikit-learn has it."""
        weight = self._weight(weights)
        hits = weight * self.holds
        true_positives, seen = np.cumsum(hits, axis=0), np.cumsum(weight, axis=0)
        precision = np.take_along_axis(true_positives, self.last, axis=0) / np.maximum(
            np.take_along_axis(seen, self.last, axis=0), 1e-12
        )
        average: np.ndarray = (hits * precision).sum(axis=0) / np.maximum(true_positives[-1], 1e-12)
        return average

    def auc(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Area under the ROC curve of each class, ``[classes]``; nan where a class has no item or no other."""
        weight = self._weight(weights)
        hits, misses = weight * self.holds, weight * (1 - self.holds)
        passed = np.cumsum(misses, axis=0)
        above = np.take_along_axis(passed, self.last, axis=0)
        before = np.take_along_axis(passed - misses, self.first, axis=0)
        below = passed[-1] - above
        pairs = hits.sum(axis=0) * misses.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            area: np.ndarray = (hits * (below + (above - before) / 2)).sum(axis=0) / pairs
        return area

    def _weight(self, weights: np.ndarray | None) -> np.ndarray:
        return np.ones(self.order.shape) if weights is None else np.asarray(weights, dtype=np.float64)[self.order]


def mean_average_precision(predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Average precision of each class, averaged over classes (macro)."""
    return float(Ranking(predictions, targets).average_precision(weights).mean())


def auc(predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve, averaged over classes; nan if a class has only one side."""
    return float(Ranking(predictions, targets).auc(weights).mean())


def d_prime(predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Separation of the classes in standard deviations: mean over classes of √2 · Φ⁻¹(AUC)."""
    return float((ndtri(Ranking(predictions, targets).auc(weights)) * np.sqrt(2)).mean())


Score = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]

SCENE_SCORES: dict[str, Score] = {
    "top1_acc": top1_accuracy,
    "pitch_acc": top1_accuracy,
    "chroma_acc": chroma_accuracy,
    "mAP": mean_average_precision,
    "d_prime": d_prime,
    "aucroc": auc,
}
"""By HEAR's names; all are better when higher."""
