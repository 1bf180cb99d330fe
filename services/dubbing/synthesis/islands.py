"""Where the original speaks within a line: stretches of speech, and pauses that a dub keeps (docs/fitting.md)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from services.dubbing.post_processing import active_range
from services.dubbing.synthesis.chunk_inputs import ChunkLines
from shared.audio.signal import to_mono_16k
from shared.core.records import SAMPLE_RATE, DubbedUtterance, Span

MIN_ISLAND, MIN_PAUSE = 0.25, 0.3
"""Seconds: shorter speech is part of its neighbour, and a shorter pause no pause between phrases (2001.06785)."""
MAX_ISLANDS = 6
"""The shortest pauses of a line that has more are spoken through."""
GAP_SECONDS = 0.12
"""Of a pause that a long phrase leaves free."""
EDGE_SECONDS = 0.1
"""Around what a detector hears, where the sound's true edges are looked for."""
BELOW_PEAK_DB = 30.0


class Island(NamedTuple):
    """A stretch in which the original speaks, seconds after the line's onset."""

    start: float
    source: float
    """How long the original speaks."""
    slot: float
    """How long the dub may."""


def speech_activity(chunk: ChunkLines, detector: Any | None) -> list[Span]:
    """When somebody speaks in the chunk's vocals, seconds of the title; nothing without a detector."""
    if detector is None:
        return []
    offset = chunk.chunk.start / SAMPLE_RATE
    return [
        Span(start=span.start + offset, end=span.end + offset) for span in detector.speech(to_mono_16k(chunk.vocals))
    ]


def line_islands(
    record: DubbedUtterance, chunk: ChunkLines, activity: Sequence[Span]
) -> tuple[float, tuple[Island, ...]]:
    """Where a line's speech begins in the title, seconds, and its islands.

    A detector says when somebody speaks, the sound's level where that begins and ends to the sample. Speech that goes
    on behind the line's end, where the recogniser heard no more words, belongs to it as far as its slot reaches.
    """
    heard = [
        Span(start=max(span.start, record.source_start), end=min(span.end, record.slot_end))
        for span in activity
        if span.start < record.source_end and span.end > record.source_start
    ]
    islands = merge_islands([sharpened(span, record, chunk) for span in heard if span.end > span.start])
    if not islands:
        onset, source = source_activity(chunk.cut(record.source_start, record.source_end))
        start = record.source_start + onset
        islands = [Span(start=start, end=start + source)]
    return islands[0].start, lay_out(islands, record.slot_end)


def sharpened(span: Span, record: DubbedUtterance, chunk: ChunkLines) -> Span:
    """A detected stretch from where its sound rises to where it falls."""
    start = max(span.start - EDGE_SECONDS, record.source_start)
    onset, length = source_activity(chunk.cut(start, min(span.end + EDGE_SECONDS, record.slot_end)))
    return Span(start=start + onset, end=start + onset + length)


def source_activity(original: np.ndarray) -> tuple[float, float]:
    """Where in the original somebody really speaks: onset and length, seconds.

    Word times of recognisers reach into the silence around; what is seen is when the mouth moves.
    """
    whole = original.shape[1] / SAMPLE_RATE
    first, last = active_range(original, SAMPLE_RATE, BELOW_PEAK_DB)
    length = (last - first) / SAMPLE_RATE
    if length < 0.5 * whole:
        return 0.0, whole
    return first / SAMPLE_RATE, length


def merge_islands(spans: Sequence[Span]) -> list[Span]:
    """Speech of one line with the pauses that a dub can keep: no short pauses, no short stretches, not too many."""
    kept: list[Span] = []
    for span in spans:
        if kept and span.start - kept[-1].end < MIN_PAUSE:
            kept[-1] = Span(start=kept[-1].start, end=span.end)
        else:
            kept.append(span)
    while len(kept) > 1:
        shortest = min(kept, key=lambda span: span.end - span.start)
        short = shortest.end - shortest.start < MIN_ISLAND
        if not short and len(kept) <= MAX_ISLANDS:
            break
        pauses = [after.start - before.end for before, after in pairwise(kept)]
        place = kept.index(shortest)
        beside = [number for number in (place - 1, place) if 0 <= number < len(pauses)]
        number = min(beside if short else range(len(pauses)), key=lambda index: pauses[index])
        kept[number : number + 2] = [Span(start=kept[number].start, end=kept[number + 1].end)]
    return kept


def lay_out(islands: Sequence[Span], end: float) -> tuple[Island, ...]:
    """Islands of a line with the room of each: up to the next one, the last up to ``end`` (seconds)."""
    onset = islands[0].start
    ends = [after.start - GAP_SECONDS for after in islands[1:]] + [end]
    return tuple(
        Island(span.start - onset, span.end - span.start, max(until, span.end) - span.start)
        for span, until in zip(islands, ends, strict=True)
    )


def joined(islands: Sequence[Island]) -> Island:
    """Several islands and the pauses between them as one."""
    first, last = islands[0], islands[-1]
    before = last.start - first.start
    return Island(first.start, before + last.source, before + last.slot)
