"""Laws of shots and chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.segmentation import chunks_of, shortest_shot, shots_between
from shared.core.records import SAMPLE_RATE, Shot, Span

TIMES = st.floats(0, 4000, allow_nan=False)


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    edges = sorted(set(draw(st.lists(TIMES, max_size=60))))
    return [Span(start=a, end=b) for a, b in zip(edges[::2], edges[1::2], strict=False)]


@given(st.lists(TIMES, max_size=60), st.floats(0.05, 4000), st.floats(0.01, 2))
def test_shots_are_contiguous_cover_the_picture_and_are_no_flashes(cuts: list[float], end: float, least: float) -> None:
    shots = shots_between(cuts, end, least)
    assert shots[0].start == 0 and shots[-1].end == end
    assert [shot.end for shot in shots[:-1]] == [shot.start for shot in shots[1:]]
    assert [shot.index for shot in shots] == list(range(len(shots)))
    assert all(shot.duration >= least - 1e-3 for shot in shots) or len(shots) == 1
    assert {shot.start for shot in shots} <= {0.0, *cuts}


def test_a_flash_belongs_to_the_shot_before_it() -> None:
    shots = shots_between([0.04, 2.0, 2.08, 5.0, 9.98], 10.0, 6 / 25)
    assert [(shot.start, shot.end) for shot in shots] == [(0, 2), (2, 5), (5, 10)]


def test_a_shot_of_exactly_the_least_length_stays() -> None:
    frame = 1001 / 24000
    assert len(shots_between([100 * frame, 106 * frame], 300 * frame, 6 / 23.976)) == 3


@given(st.floats(0.05, 4000), st.lists(TIMES, max_size=60), spans(), st.floats(1, 400))
def test_chunks_are_contiguous_cover_every_sample_and_have_the_length_asked_for(
    total: float, cuts: list[float], speech: list[Span], seconds: float
) -> None:
    samples = max(1, round(total * SAMPLE_RATE))
    chunks = chunks_of(samples, shots_between(cuts, total, 0.2), speech, seconds)
    assert chunks[0].start == 0 and chunks[-1].end == samples
    assert [chunk.end for chunk in chunks[:-1]] == [chunk.start for chunk in chunks[1:]]
    lengths = [(chunk.end - chunk.start) / SAMPLE_RATE for chunk in chunks]
    assert all(length <= 1.5 * seconds + 1e-3 for length in lengths)
    assert len(chunks) == 1 or all(length >= 0.5 * seconds - 1e-3 for length in lengths[:-1])
    assert lengths[-1] > 0


@given(st.lists(TIMES, max_size=60), spans(), st.floats(20, 400))
def test_a_chunk_never_cuts_speech_where_a_pause_was_in_reach(
    cuts: list[float], speech: list[Span], seconds: float
) -> None:
    chunks = chunks_of(4000 * SAMPLE_RATE, shots_between(cuts, 4000, 0.2), speech, seconds)
    for chunk in chunks[1:]:
        edge = chunk.start / SAMPLE_RATE
        inside = [span for span in speech if span.start + 1e-4 < edge < span.end - 1e-4]
        # Cut through speech only where it covers the whole reach of ± half a chunk.
        before = chunks[chunk.index - 1].start / SAMPLE_RATE
        for span in inside:
            assert span.start <= before + 0.5 * seconds + 1e-3 and span.end >= before + 1.5 * seconds - 1e-3


def test_a_silent_cut_near_the_aim_is_taken() -> None:
    shots = [Shot(index=i, start=s, end=s + 50) for i, s in enumerate(range(0, 1000, 50))]
    speech = [Span(start=280, end=310), Span(start=340, end=345)]
    assert chunks_of(1000 * SAMPLE_RATE, shots, speech, 300)[0].end == 250 * SAMPLE_RATE


def test_without_a_silent_cut_the_longest_pause_is_taken() -> None:
    shots = [Shot(index=0, start=0, end=1000)]
    speech = [Span(start=0, end=200), Span(start=201, end=400), Span(start=404, end=1000)]
    assert chunks_of(1000 * SAMPLE_RATE, shots, speech, 300)[0].end == pytest.approx(402 * SAMPLE_RATE)


def test_a_flash_lasts_as_long_in_a_film_of_more_frames() -> None:
    assert [shortest_shot(6, fps) for fps in (24, 30, 50, 60)] == [0.25, 0.2, 0.24, 0.24]
