"""Which mixes of Kokoro's styles sound like somebody: predicted from a bank of mixes that were listened to.

``mixes.npz`` holds some hundred random mixes at random pitch with the speaker embedding of each. Between them a
Gaussian process says what any mix would sound like. It is right about which mixes are worth hearing, not about which
one is best: the casting synthesises the few that are named here and listens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from services.dubbing.engines.kokoro.voices import STYLES

COORDINATES = 24
"""Principal components of the styles' colours that the prediction sees: 92 % of their variance."""
USUAL_HZ, PITCH_SPREAD = 150.0, 0.175
LENGTH, NOISE = 4.0, 0.1
"""Of the kernel: how far a mix tells about others, and how much an embedding says about the sentence instead."""
TRIED, PARTS = 4000, 3
"""Random mixes that are predicted, of at most so many styles each."""
ROUNDED = 20
"""Shares are whole twentieths."""
DIFFERENT = 0.5
"""Two proposals differ by at least this much in the sum of their shares' differences."""


@dataclass(frozen=True)
class VoiceBank:
    """Embeddings of mixes as a function of colour and pitch."""

    styles: np.ndarray
    """Colour of every style in :data:`COORDINATES` dimensions, ``[54, 24]``."""
    points: np.ndarray
    weights: np.ndarray
    mean: np.ndarray

    @classmethod
    def fit(cls, styles: np.ndarray, shares: np.ndarray, pitch_hz: np.ndarray, embeddings: np.ndarray) -> VoiceBank:
        """A bank of mixes that were made and heard.

        Args:
            styles: ``[54, 24]``.
            shares: ``[n, 54]``, each row summing to 1.
            pitch_hz: ``[n]``.
            embeddings: ``[n, 256]``, L2-normalised.
        """
        points = features(styles, shares, pitch_hz)
        mean = embeddings.mean(axis=0)
        weights = np.linalg.solve(kernel(points, points) + NOISE * np.eye(len(points)), embeddings - mean)
        return cls(styles, points, weights, mean)

    def likeness(self, shares: np.ndarray, pitch_hz: float, speaker: np.ndarray) -> np.ndarray:
        """Predicted cosine of every mix ``[n, 54]`` at a pitch to the embedding of a speaker."""
        here = features(self.styles, shares, np.full(len(shares), pitch_hz))
        predicted = kernel(here, self.points) @ self.weights + self.mean
        out: np.ndarray = predicted @ speaker / np.linalg.norm(predicted, axis=1)
        return out


def features(styles: np.ndarray, shares: np.ndarray, pitch_hz: np.ndarray) -> np.ndarray:
    return np.column_stack([shares @ styles, np.log(pitch_hz / USUAL_HZ) / PITCH_SPREAD])


def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    square = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    out: np.ndarray = np.exp(-0.5 * np.maximum(square, 0) / LENGTH**2)
    return out


@lru_cache(maxsize=1)
def bank() -> VoiceBank:
    """The bank of the package; made by ``make_mixes``."""
    with (resources.files("services.dubbing.engines.kokoro") / "mixes.npz").open("rb") as file, np.load(file) as table:
        named = ("styles", "shares", "pitch_hz", "embeddings")
        return VoiceBank.fit(*(table[name].astype(np.float64) for name in named))


def nearest(
    speaker: np.ndarray, pitch_hz: float, gender: str, native: str, share: float, count: int
) -> list[dict[str, float]]:
    """Shares by style of up to ``count`` different mixes predicted nearest to a speaker, nearest first.

    Args:
        speaker: Embedding, ``[256]``.
        gender: ``female`` or ``male``: only such styles are mixed.
        native: Style whose colour makes up what is not ``share``.
    """
    rng = np.random.default_rng(0)
    pool = [index for index, style in enumerate(STYLES) if style[1] == gender[0]]
    tried = np.zeros((TRIED, len(STYLES)))
    for row in tried:
        parts = rng.integers(1, PARTS + 1)
        row[rng.choice(pool, parts, replace=False)] = rng.dirichlet(np.ones(parts))
    tried *= share
    tried[:, STYLES.index(native)] += 1 - share
    tried = np.round(tried * ROUNDED) / ROUNDED
    tried = tried[np.isclose(tried.sum(axis=1), 1)]
    order = np.argsort(-bank().likeness(tried, pitch_hz, speaker), kind="stable")
    chosen: list[np.ndarray] = []
    for shares in tried[order]:
        if len(chosen) == count:
            break
        if all(np.abs(shares - other).sum() >= DIFFERENT * share for other in chosen):
            chosen.append(shares)
    return [{STYLES[i]: round(float(row[i]), 2) for i in np.argsort(-row) if row[i] > 0} for row in chosen]
