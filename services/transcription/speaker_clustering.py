"""Who speaks: utterances grouped by the likeness of their voices. Pure functions on numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

TRUSTED_SECONDS = 1.5
"""Embeddings of less speech do not found a speaker; they join the nearest."""
NEAR_SECONDS = 2.0
"""An utterance too short to know joins the one next to it when that is no further away."""
UNSURE_COSINE = 0.5
OVERLAP_SECONDS = 0.1


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; zero rows stay zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def agglomerate(vectors: np.ndarray, threshold: float, most: int) -> np.ndarray:
    """Cluster numbers ``[n]`` of unit vectors ``[n, size]`` by average linkage.

    Two clusters become one while the mean cosine between their members is at least ``threshold``, and further until
    there are at most ``most``. (Centroids would do worse: averaging takes the noise out of an embedding, so big
    clusters look alike whoever speaks.)
    """
    if len(vectors) < 2:
        return np.zeros(len(vectors), dtype=int)
    tree = linkage(vectors, "average", metric="cosine")
    labels = fcluster(tree, 1 - threshold, "distance")
    if len(np.unique(labels)) > most:
        labels = fcluster(tree, most, "maxclust")
    return np.asarray(labels, dtype=int)


def assign(
    vectors: np.ndarray,
    spans: Sequence[tuple[float, float]],
    threshold: float,
    most: int,
) -> np.ndarray:
    """A group number for every utterance, counted from 0 by first appearance.

    Args:
        vectors: Embeddings ``[n, size]``; zero rows have no voice to go by.
        spans: Start and end of every utterance, in order of start, seconds.
        threshold: Groups whose members are nearer than this cosine on average are one speaker.
        most: Never more groups than this.
    """
    count = len(spans)
    if count == 0:
        return np.zeros(0, dtype=int)
    vectors = unit(np.asarray(vectors, dtype=np.float64))
    seconds = np.array([end - start for start, end in spans])
    voiced = np.any(vectors != 0, axis=1)
    trusted = voiced & (seconds >= TRUSTED_SECONDS)
    if not trusted.any():
        trusted = voiced
    if not trusted.any():
        return np.zeros(count, dtype=int)
    groups = np.full(count, -1)
    known = np.flatnonzero(trusted)
    labels = agglomerate(vectors[known], threshold, max(1, most))
    names, labels = np.unique(labels, return_inverse=True)
    groups[known] = labels
    weighted = vectors[known] * seconds[known, None]
    centroids = unit(np.stack([weighted[labels == i].sum(axis=0) for i in range(len(names))]))
    for i in np.flatnonzero(~trusted).tolist():
        likeness = centroids @ vectors[i]
        near = neighbour(i, spans, known)
        if voiced[i] and (likeness.max() >= UNSURE_COSINE or near is None):
            groups[i] = int(likeness.argmax())
        else:
            groups[i] = groups[near] if near is not None else groups[known[0]]
    return by_appearance(groups)


def neighbour(i: int, spans: Sequence[tuple[float, float]], known: np.ndarray) -> int | None:
    """The utterance among ``known`` nearest in time to ``i``, at most :data:`NEAR_SECONDS` away."""
    start, end = spans[i]
    distance = [max(spans[k][0] - end, start - spans[k][1], 0.0) for k in known]
    at = int(np.argmin(distance))
    return int(known[at]) if distance[at] <= NEAR_SECONDS else None


def by_appearance(groups: np.ndarray) -> np.ndarray:
    """Renumber so that the first utterance belongs to group 0, the next new one to 1, and so on."""
    order: dict[int, int] = {}
    for group in groups:
        order.setdefault(int(group), len(order))
    return np.array([order[int(group)] for group in groups], dtype=int)


def overlapping(spans: Sequence[tuple[float, float]], least: float = OVERLAP_SECONDS) -> list[bool]:
    """Which spans share more than ``least`` seconds with another; ``spans`` in order of start."""
    marks = [False] * len(spans)
    active: list[int] = []
    for i, (start, end) in enumerate(spans):
        active = [k for k in active if spans[k][1] > start + least]
        for k in active:
            if min(spans[k][1], end) - start > least:
                marks[k] = marks[i] = True
        active.append(i)
    return marks
