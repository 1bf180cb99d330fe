"""What a shot's tracks have in common for an encoder, and what tells them apart. Pure functions on embeddings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shared.quality.shortcut import ShortcutProbe, probe


def unit(embeddings: np.ndarray) -> np.ndarray:
    """Rows of length 1, ``[N, D]``."""
    embeddings = embeddings.astype(np.float64)
    scaled: np.ndarray = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    return scaled


class Agreement(NamedTuple):
    """How two tracks of ``N`` shots agree; arrays are ``[N]``.

    Attributes:
        own: Cosine of a shot's two tracks.
        other: Mean cosine of its first track with the other shots' second.
        rank: Place of its own among all shots' second tracks by similarity to its first, 0 the nearest; ties half.
        rank_among_first: The same among its own second and the *first* tracks of the other shots, all of the first's
            language: 0 if the shot outweighs the language.
    """

    own: np.ndarray
    other: np.ndarray
    rank: np.ndarray
    rank_among_first: np.ndarray


def agreement(first: np.ndarray, second: np.ndarray) -> Agreement:
    """Compare two tracks of the same shots, embeddings ``[N, D]`` each, N ≥ 2."""
    one, two = unit(first), unit(second)
    across, within = one @ two.T, one @ one.T
    own = np.diag(across)
    others = ~np.eye(len(own), dtype=bool)
    other = np.where(others, across, 0).sum(1) / others.sum(1)
    return Agreement(own, other, places(across, own, others), places(within, own, others))


def places(similar: np.ndarray, own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How many of the others are nearer than one's own, ties half, ``[N]``."""
    # Rounded: the same embedding reached by another sum is a tie.
    similar, own = similar.round(9), own.round(9)[:, None]
    nearer: np.ndarray = (others & (similar > own)).sum(1) + 0.5 * (others & (similar == own)).sum(1)
    return nearer.astype(np.float64)


def retrieval(queries: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Place of each query's own answer among all, 0 the nearest, ``[N]``; row i belongs to row i."""
    similar = unit(queries) @ unit(answers).T
    return places(similar, np.diag(similar), ~np.eye(len(similar), dtype=bool))


def tell_apart(one: np.ndarray, other: np.ndarray) -> ShortcutProbe:
    """Cross-validated AUC of a linear classifier telling two tracks by their embeddings; a shot is on one side.

    0.5 between ``orig`` and ``control`` means that the encoder hears no trace of the processing.
    """
    return probe(one, other, np.arange(len(one)))


def kept(embeddings: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Which items a linear probe gets right, bool ``[N]``; groups are never trained and tested on.

    A ridge classifier on standardised embeddings, its strength by leave-one-out on the training part
    (scikit-learn's RidgeClassifierCV).

    Args:
        embeddings: ``[N, D]``.
        labels: ``[N]``, two classes at least.
        groups: ``[N]``, such as title or speaker.
        folds: At most; no more than there are groups.
        seed: Of which group is in which fold.

    Raises:
        ValueError: fewer than two groups.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names, place = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError("a probe needs two groups at least")
    fold = np.random.default_rng(seed).permutation(len(names))[place] % min(folds, len(names))
    right = np.zeros(len(labels), dtype=bool)
    for left_out in np.unique(fold):
        test = fold == left_out
        if len(np.unique(labels[~test])) < 2:
            continue  # nothing to learn from: its items count as wrong
        model = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-2, 4, 13)))
        model.fit(embeddings[~test], labels[~test])
        right[test] = model.predict(embeddings[test]) == labels[test]
    return right
