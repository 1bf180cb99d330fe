"""Shortcut probe: can a linear classifier tell two tracks apart where nobody speaks?

A contrastive model takes any shortcut, so a dub must not be recognisable without listening to its speech. The probe is
a logistic regression on mean and deviation of log-mel in blocks of 0.3 s outside the speech of both tracks, judged on
shots that it was not trained on. Both copies of a block always lie on the same side of a fold: blocks that are the same
in both tracks then get the same score twice, tie, and count one half, as they should; they cannot push the figure below
one half by being learnt from one track and tested on the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from shared.core.records import SAMPLE_RATE
from shared.quality.logmel import BLOCK_SAMPLES, MELS, block_features
from shared.quality.spans import union

MAX_BLOCKS = 4000
"""A sample of this size settles an AUC to about 0.01 and keeps a long title cheap."""
MIN_BLOCKS = 20
MAX_FOLDS = 20
"""Leave one shot out up to this many shots; beyond, leave one of so many groups of shots out."""

Reader = Callable[[int, int], np.ndarray]
"""``reader(start, stop)`` → ``[channels, samples]`` of a track."""


class ShortcutProbe(NamedTuple):
    """Result of the probe.

    Attributes:
        auc: 0.5 when the tracks cannot be told apart, 1 when always; None when there is too little to judge by.
        blocks: Blocks of each track that were used.
        shots: Shots that they come from.
        identical: Share of the blocks that are the same in both tracks.
        reason: Why there is no ``auc``: ``few_shots`` or ``few_blocks``.
    """

    auc: float | None
    blocks: int
    shots: int
    identical: float | None
    reason: str | None = None


def free_blocks(
    shots: Iterable[tuple[float, float]], speech: Iterable[tuple[float, float]], samples: int, limit: int = MAX_BLOCKS
) -> tuple[np.ndarray, np.ndarray]:
    """Blocks that lie inside a shot and outside all speech.

    Args:
        shots: Start and end of each shot, seconds.
        speech: Spans in which either track speaks, seconds.
        samples: Length of the tracks.
        limit: Keep at most so many, evenly over the title.

    Returns:
        First sample of each block and index of its shot, both ``[blocks]``.
    """
    silent = np.ones(samples // SAMPLE_RATE * 100 + 200, dtype=bool)
    # Ten-millisecond cells: a cell counts as speech if any of it is.
    for start, end in union(speech):
        silent[max(int(start * 100), 0) : max(int(np.ceil(end * 100)), 0)] = False
    heard = np.concatenate([[0], np.cumsum(~silent)])
    starts: list[int] = []
    groups: list[int] = []
    for index, (start, end) in enumerate(shots):
        first, stop = round(start * SAMPLE_RATE), min(round(end * SAMPLE_RATE), samples)
        while first + BLOCK_SAMPLES <= stop:
            low, high = first * 100 // SAMPLE_RATE, -(-(first + BLOCK_SAMPLES) * 100 // SAMPLE_RATE)
            if heard[high] == heard[low]:
                starts.append(first)
                groups.append(index)
                first += BLOCK_SAMPLES
            else:
                first += SAMPLE_RATE // 100
    if len(starts) > limit:
        chosen = np.linspace(0, len(starts) - 1, limit).round().astype(int)
        return np.array(starts)[chosen], np.array(groups)[chosen]
    return np.array(starts, dtype=int), np.array(groups, dtype=int)


def features(read: Reader, starts: Iterable[int], seen: dict[bytes, np.ndarray] | None = None) -> np.ndarray:
    """Features of the blocks of one track, ``[blocks, 128]``; reads one block at a time.

    Args:
        seen: Features by the hash of a block's samples. Tracks of a title share most blocks: pass one for all of them.
    """
    seen = {} if seen is None else seen
    rows = []
    for start in starts:
        block = read(int(start), int(start) + BLOCK_SAMPLES).mean(axis=0, dtype=np.float32)
        key = hashlib.blake2b(block.tobytes()).digest()
        if key not in seen:
            seen[key] = block_features(block)
        rows.append(seen[key])
    return np.array(rows, dtype=np.float32).reshape(len(rows), 2 * MELS)


def probe(one: np.ndarray, other: np.ndarray, groups: Sequence[int] | np.ndarray) -> ShortcutProbe:
    """Cross-validated AUC of telling ``one`` from ``other``.

    Args:
        one, other: Features ``[blocks, n]`` of the same blocks of two tracks.
        groups: The shot of each block.
    """
    groups = np.asarray(groups)
    shots = np.unique(groups)
    identical = float(np.all(one == other, axis=1).mean()) if len(groups) else None
    if len(shots) < 2:
        return ShortcutProbe(None, len(groups), len(shots), identical, "few_shots")
    if len(groups) < MIN_BLOCKS:
        return ShortcutProbe(None, len(groups), len(shots), identical, "few_blocks")
    if identical == 1.0:
        return ShortcutProbe(0.5, len(groups), len(shots), identical)  # nothing there to tell them by
    count = min(len(shots), MAX_FOLDS)
    fold = (np.searchsorted(shots, groups) * count) // len(shots)
    inputs = np.concatenate([one, other]).astype(np.float64)
    labels = np.repeat([0.0, 1.0], len(groups))
    folds = np.concatenate([fold, fold])
    scores = np.empty(len(labels))
    for left_out in range(count):
        test = folds == left_out
        weights, bias, mean, scale = fit(inputs[~test], labels[~test])
        scores[test] = (inputs[test] - mean) / scale @ weights + bias
    return ShortcutProbe(auc(scores, labels), len(groups), len(shots), identical)


def fit(inputs: np.ndarray, labels: np.ndarray, c: float = 1.0) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Logistic regression with an L2 penalty on standardised inputs (scikit-learn's objective, free intercept).

    Returns:
        Weights ``[n]``, bias, and the mean and scale ``[n]`` that inputs are standardised with.
    """
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    x = np.column_stack([(inputs - mean) / scale, np.ones(len(inputs))])
    sign = 2 * labels - 1
    penalty = np.append(np.ones(x.shape[1] - 1), 0.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ parameters)
        value = c * np.logaddexp(0, -margin).sum() + 0.5 * penalty @ parameters**2
        return float(value), penalty * parameters - c * x.T @ (sign * expit(-margin))

    def curvature(parameters: np.ndarray) -> np.ndarray:
        chance = expit(x @ parameters)
        hessian: np.ndarray = c * (x.T * (chance * (1 - chance))) @ x + np.diag(penalty)
        return hessian

    # So few parameters that second derivatives are cheap: a dozen steps where L-BFGS takes a hundred.
    solution = minimize(loss, np.zeros(x.shape[1]), jac=True, hess=curvature, method="trust-exact").x
    return solution[:-1], float(solution[-1]), mean, scale


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties counting one half."""
    positive = labels > 0.5
    high, low = int(positive.sum()), int((~positive).sum())
    # Scores that differ by rounding alone are ties.
    ranks = rankdata(np.round(scores, 9))
    return float((ranks[positive].sum() - high * (high + 1) / 2) / (high * low))
