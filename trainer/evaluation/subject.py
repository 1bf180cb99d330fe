"""What every evaluation is told: who is evaluated, under which name, with which seed, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.embedding import AudioEncoder

EncoderT = TypeVar("EncoderT", bound=AudioEncoder)


@dataclass(frozen=True)
class Subject(Generic[EncoderT]):
    """An encoder under evaluation."""

    encoder: EncoderT
    cache: EmbeddingCache
    """Where its embeddings are kept."""
    label: str
    """Name of the checkpoint in tables."""
    seed: int = 0
    """Of everything that is drawn: the order of a grid, weights, dropout, recordings held out, folds."""
    device: str = "cpu"
    """Where predictors train."""
