"""The rows of ``pairs.parquet`` and ``rejects.parquet``: one a shot and track. Documented in docs/output.md."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Union, get_args, get_origin

import pyarrow as pa
from pydantic import Field

from shared.core.records import Record

PAIRS_SCHEMA_VERSION = 1


class PairRow(Record):
    """One track of one shot. Times in seconds on the title's clock, paths relative to the output folder."""

    schema_version: int = PAIRS_SCHEMA_VERSION
    title: str
    shot: int | None = Field(None, description="Index within the title; None only where the whole title failed.")
    start: float | None = None
    end: float | None = None
    source_language: str | None = Field(None, description="ISO 639-1.")
    track: str | None = Field(None, description="orig, control or a target language.")
    language: str | None = Field(None, description="Language spoken on the track.")
    clip_path: str | None = Field(None, description="The shot with this track, mp4; None if none was exported.")
    track_path: str | None = Field(None, description="The title's whole track.")
    speech_path: str | None = Field(None, description="Its speech alone; None for orig.")
    background_path: str | None = Field(None, description="The background that all synthetic tracks share.")
    speech_ratio: float | None = Field(None, description="Share of the shot in which this track speaks, 0–1.")
    speech_dubbed: float | None = Field(
        None, description="Share of the original's speech in the shot that it says, 0–1."
    )
    utterances: int = Field(0, description="Utterances heard in the shot, whole or in part.")
    dropped_utterances: int = Field(0, description="Utterances left out of every synthetic track, such as noise.")
    fit_ratio: float | None = Field(None, description="Natural length of the dub ÷ source; mean over seconds.")
    overflow_ms: float | None = Field(None, description="Worst of the utterances.")
    isochrony_iou: float | None = Field(None, description="Speech activity against the original's, 0–1.")
    round_trip_cer: float | None = Field(None, description="Mean over characters of the utterances.")
    detected_language: str | None = Field(None, description="Heard for most of the speech.")
    language_confidence: float | None = Field(None, description="Of the detected language, 0–1; mean over seconds.")
    speaker_similarity: float | None = Field(None, description="Cosine to the source's speaker; mean over seconds.")
    null_residual_db: float | None = Field(None, description="Peak of track − speech − background, dBFS; −200 is none.")
    residual_speech: float | None = Field(
        None, description="How sure it is that somebody is understood in the background, 0–1; None if not listened for."
    )
    loudness_difference_lu: float | None = Field(None, description="Dub − original speech; the largest by size.")
    digital_source_type: str | None = Field(None, description="IPTC's term for how the track was made; null for orig.")
    engines: dict[str, str] = Field({}, description="Stage → engine and model that made the track.")
    accepted: bool = False
    reason: str | None = Field(None, description="First reason for rejection, a code.")
    reasons: list[str] = Field([], description="All reasons.")
    detail: str | None = Field(None, description="The first reason in words, with its figures.")


@lru_cache
def pairs_schema() -> pa.Schema:
    """Arrow schema of :class:`PairRow`, version in its metadata."""
    fields = []
    for name, info in PairRow.model_fields.items():
        kind, nullable = arrow_type(info.annotation)
        text = (info.description or "").encode()
        fields.append(pa.field(name, kind, nullable=nullable, metadata={b"description": text} if text else None))
    return pa.schema(fields, metadata={b"counterdub.schema": b"pairs", b"schema_version": b"%d" % PAIRS_SCHEMA_VERSION})


def arrow_type(annotation: Any) -> tuple[pa.DataType, bool]:
    """Arrow type and nullability of a field's annotation."""
    plain = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    if annotation in plain:
        return plain[annotation], False
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType} and len(args) == 2 and type(None) in args:
        (inner,) = (arg for arg in args if arg is not type(None))
        return arrow_type(inner)[0], True
    if origin is list:
        return pa.list_(arrow_type(args[0])[0]), False
    if origin is dict:
        return pa.map_(arrow_type(args[0])[0], arrow_type(args[1])[0]), False
    raise TypeError(f"no Arrow type for {annotation}")


def to_table(rows: Iterable[PairRow]) -> pa.Table:
    """Rows as a table of :func:`pairs_schema`."""
    dumped = [row.model_dump() | {"engines": sorted(row.engines.items())} for row in rows]
    return pa.Table.from_pylist(dumped, schema=pairs_schema())


def from_table(table: pa.Table) -> Iterator[PairRow]:
    """Rows of a table that :func:`to_table` made."""
    for row in table.to_pylist():
        yield PairRow.model_validate(row | {"engines": dict(row["engines"])})
