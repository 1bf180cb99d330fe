"""Rows of embeddings as a Parquet table (``docs/embed.md``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from trainer.recipe import Recipe

VERSION = "1"
"""Of the schema."""


class FileEncoder(Protocol):
    """Who embeds: :class:`trainer.encoder.Encoder`, whose attributes and methods these are."""

    id: str
    recipe: Recipe
    audio_size: int
    video_size: int

    def audio(self, waves: np.ndarray, *, heads: bool = False) -> np.ndarray: ...

    def video(self, clips: np.ndarray, *, heads: bool = False) -> np.ndarray: ...


class EmbeddingRow(NamedTuple):
    """One window's embedding."""

    file: str
    stream: Literal["audio", "video"]
    start: float
    """Seconds since the earliest start of the file's sound and picture."""
    end: float
    crop: int | None
    """0 to 4: top left, top right, bottom left, bottom right, centre; None: their mean, or a sound."""
    embedding: np.ndarray
    """float32 ``[D]``."""


def schema(encoder: FileEncoder, heads: bool) -> pa.Schema:
    """Columns, and in the metadata which encoder made them."""
    return pa.schema(
        [
            pa.field("file", pa.string(), nullable=False),
            pa.field("stream", pa.string(), nullable=False),
            pa.field("start", pa.float64(), nullable=False),
            pa.field("end", pa.float64(), nullable=False),
            pa.field("crop", pa.int8()),
            pa.field("embedding", pa.list_(pa.field("element", pa.float32(), nullable=False)), nullable=False),
        ],
        metadata={
            "counterdub.schema": f"embeddings {VERSION}",
            "counterdub.checkpoint": encoder.id,
            "counterdub.recipe": encoder.recipe.name,
            "counterdub.of": "heads" if heads else "towers",
        },
    )


def table(rows: Iterable[EmbeddingRow], columns: pa.Schema) -> pa.Table:
    """Rows under ``columns``."""
    return pa.Table.from_pylist([row._asdict() for row in rows], columns)
