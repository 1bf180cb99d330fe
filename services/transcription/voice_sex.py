"""Whether a voice is a woman's or a man's: what it sounds like to the speaker encoder, and its pitch.

Pitch alone fails where people raise their voice (men in a saloon of a film: 166–196 Hz) and where music is left in the
separated voice; the encoder alone where a voice is unusual. Measured: tests/benchmarks/test_voices.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Literal

import numpy as np

ENCODER = "resemblyzer"
"""Whose embeddings the weights are for."""
BOUNDARY_HZ = 165.0
"""Between the usual medians of men's (about 120 Hz) and women's voices (about 210 Hz)."""
PITCH_WEIGHT = 0.7
"""What an octave counts beside the encoder's ±1."""


@lru_cache(maxsize=1)
def direction() -> tuple[np.ndarray, float]:
    """Weights ``[256]`` and a constant, made by ``services.dubbing.engines.kokoro.make_sexes``."""
    with (
        resources.files("services.transcription").joinpath("voice_sex.npz").open("rb") as file,
        np.load(file) as stored,
    ):
        return stored["weights"].astype(np.float64), float(stored["constant"])


def sex_of(embedding: Sequence[float], f0_hz: float | None) -> Literal["female", "male"] | None:
    """Of a voice; None when nothing is known of it.

    Args:
        embedding: L2-normalised, of :data:`ENCODER`; empty where there is none, or of another encoder.
        f0_hz: Median pitch.
    """
    weights, constant = direction()
    known = len(embedding) == len(weights)
    if not known and f0_hz is None:
        return None
    score = float(np.dot(weights, embedding)) + constant if known else 0.0
    if f0_hz is not None:
        score += PITCH_WEIGHT * float(np.log2(f0_hz / BOUNDARY_HZ))
    return "female" if score >= 0 else "male"
