"""Where the original speaks within a line: what a detector hears, with edges to the sample, without short pauses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dubbing.synthesis.chunk_inputs import ChunkLines
from services.dubbing.synthesis.chunk_lines import blank
from services.dubbing.synthesis.islands import (
    MAX_ISLANDS,
    MIN_ISLAND,
    MIN_PAUSE,
    lay_out,
    line_islands,
    merge_islands,
    speech_activity,
)
from shared.core.records import SAMPLE_RATE, Chunk, Span
from tests.unit.services.dubbing.stand_ins import babble, utterance

lengths = st.floats(0.05, 2.0)


@given(st.lists(st.tuples(lengths, lengths), min_size=1, max_size=12))
def test_what_is_kept_are_pauses_that_are_heard_and_nothing_is_lost(pairs: list[tuple[float, float]]) -> None:
    spans, time = [], 0.0
    for pause, length in pairs:
        spans.append(Span(start=time + pause, end=time + pause + length))
        time += pause + length
    merged = merge_islands(spans)
    assert (merged[0].start, merged[-1].end) == (spans[0].start, spans[-1].end)
    assert len(merged) <= MAX_ISLANDS
    assert all(after.start - before.end >= MIN_PAUSE for before, after in pairwise(merged))
    assert len(merged) == 1 or all(one.end - one.start >= MIN_ISLAND for one in merged)
    assert all(any(one.start <= span.start and span.end <= one.end for one in merged) for span in spans)


def test_each_island_has_room_up_to_the_next_the_last_up_to_the_slots_end() -> None:
    first, last = lay_out([Span(start=2.0, end=3.0), Span(start=4.0, end=5.0)], 5.5)
    assert (first.start, first.source) == (0.0, 1.0) and 1.8 < first.slot < 2.0
    assert (last.start, last.source, last.slot) == (2.0, 1.0, 1.5)


class Detector:
    """Hears what it is told, a little wider than it sounds."""

    def __init__(self, *spans: tuple[float, float]) -> None:
        self.spans = [Span(start=max(0.0, start - 0.05), end=end + 0.05) for start, end in spans]

    def speech(self, audio: np.ndarray) -> list[Span]:
        return self.spans


def chunk_with(*spans: tuple[float, float], start: float = 0.0) -> ChunkLines:
    """Ten seconds from ``start`` in which somebody speaks at the spans, seconds of the title."""
    vocals = np.zeros((1, 10 * SAMPLE_RATE), np.float32)
    for begin, end in spans:
        part = babble(end - begin)
        first = round((begin - start) * SAMPLE_RATE)
        vocals[:, first : first + part.shape[1]] = part
    first = round(start * SAMPLE_RATE)
    return ChunkLines(Chunk(index=0, start=first, end=first + vocals.shape[1]), vocals, [])


def test_a_pause_within_a_line_is_found_to_the_frame() -> None:
    spoken = ((21.0, 22.5), (24.0, 25.0))
    chunk = chunk_with(*spoken, start=20.0)
    activity = speech_activity(chunk, Detector(*((a - 20.0, b - 20.0) for a, b in spoken)))
    start, (first, second) = line_islands(blank(utterance(1, 20.9, 25.1), "es", None), chunk, activity)
    assert start == pytest.approx(21.0, abs=0.03)
    assert first.source == pytest.approx(1.5, abs=0.05)
    assert second.start == pytest.approx(3.0, abs=0.05) and second.source == pytest.approx(1.0, abs=0.07)


def test_speech_behind_the_recognised_end_belongs_to_the_line_as_far_as_its_slot_reaches() -> None:
    chunk = chunk_with((1.0, 3.0))
    activity = speech_activity(chunk, Detector((1.0, 3.0)))
    record = blank(utterance(1, 1.0, 2.5), "es", Span(start=1.0, end=2.8))
    _, (only,) = line_islands(record, chunk, activity)
    assert only.source == pytest.approx(1.8, abs=0.03)
    _, (only,) = line_islands(blank(utterance(1, 1.0, 2.5), "es", Span(start=1.0, end=4.0)), chunk, activity)
    assert only.source == pytest.approx(2.0, abs=0.03) and only.slot == pytest.approx(3.0, abs=0.03)


def test_without_a_detector_the_level_alone_tells() -> None:
    chunk = chunk_with((1.2, 2.8))
    assert speech_activity(chunk, None) == []
    start, (only,) = line_islands(blank(utterance(1, 1.0, 3.0), "es", None), chunk, [])
    assert start == pytest.approx(1.2, abs=0.03) and only.source == pytest.approx(1.6, abs=0.05)
