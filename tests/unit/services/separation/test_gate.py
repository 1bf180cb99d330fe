"""Laws of the gate."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.separation.gate import EDGE, STEP, clip, curve, follow, levels, merge, pad
from shared.core.records import Span

RATE = 8_000
SECONDS = 4

times = st.integers(0, SECONDS * 1000).map(lambda n: n / 1000)
spans = st.lists(st.tuples(times, times).map(lambda pair: Span(start=min(pair), end=max(pair))), max_size=6)


def distance(spans: list[Span], at: np.ndarray) -> np.ndarray:
    """Samples from every number in ``at`` to the nearest sample inside a span."""
    far = np.full(len(at), np.inf)
    for span in spans:
        first, last = round(span.start * RATE), round(span.end * RATE) - 1
        far = np.minimum(far, np.maximum(np.maximum(first - at, at - last), 0))
    return far


@given(spans)
def test_the_gate_is_one_inside_and_zero_far_outside(given_spans: list[Span]) -> None:
    merged = merge(given_spans)
    gain = curve(merged, 0, SECONDS * RATE, sample_rate=RATE)
    far = distance(merged, np.arange(len(gain)))
    assert gain.dtype == np.float32
    assert gain.min() >= 0 and gain.max() <= 1
    assert (gain[far == 0] == 1).all()
    assert (gain[far >= round(EDGE * RATE)] == 0).all()


@given(spans, st.lists(st.integers(0, SECONDS * RATE), max_size=5))
def test_ranges_one_by_one_equal_the_whole(given_spans: list[Span], cuts: list[int]) -> None:
    merged = merge(given_spans)
    ends = [0, *sorted(cuts), SECONDS * RATE]
    pieces = [curve(merged, low, high, sample_rate=RATE) for low, high in pairwise(ends)]
    assert np.array_equal(np.concatenate(pieces), curve(merged, 0, SECONDS * RATE, sample_rate=RATE))


@given(spans)
def test_edges_are_smooth(given_spans: list[Span]) -> None:
    gain = curve(merge(given_spans), 0, SECONDS * RATE, sample_rate=RATE)
    assert np.abs(np.diff(gain)).max(initial=0) <= np.pi / 2 / (EDGE * RATE) + 1e-6


@given(spans, st.floats(0, 1))
def test_merged_spans_are_increasing_disjoint_and_cover_the_same(given_spans: list[Span], gap: float) -> None:
    merged = merge(given_spans, gap)
    assert all(span.end > span.start for span in merged)
    assert all(after.start - before.end > gap for before, after in pairwise(merged))
    for span in given_spans:
        if span.end > span.start:
            assert any(whole.start <= span.start and span.end <= whole.end for whole in merged)
    assert merge(merged, gap) == merged


@given(spans, st.floats(0, 1))
def test_padding_widens_and_never_goes_below_zero(given_spans: list[Span], seconds: float) -> None:
    padded = pad(given_spans, seconds)
    assert all(span.start >= 0 for span in padded)
    for span in merge(given_spans):
        assert any(whole.start <= span.start and whole.end >= span.end + seconds for whole in padded)


def test_clip_keeps_only_the_range() -> None:
    found = clip([Span(start=0, end=2), Span(start=3, end=4)], 1, 3.5)
    assert found == [Span(start=1, end=2), Span(start=3, end=3.5)]


def test_follow_goes_on_with_the_voice_and_stops_where_it_ends() -> None:
    level = np.full(400, 1e-5, np.float32)
    level[100:200] = 0.1  # speech that is known from 1.2 to 1.6 s
    level[207:230] = 0.02  # goes on after 70 ms
    level[300:330] = 0.1  # somebody else, later
    (span,) = follow([Span(start=1.2, end=1.6)], level, drop_db=30, pause=0.1, reach=1.0)
    assert span.start == pytest.approx(1.0, abs=STEP)
    assert span.end == pytest.approx(2.3, abs=STEP)


def test_follow_reaches_only_so_far() -> None:
    level = np.full(400, 0.1, np.float32)
    (span,) = follow([Span(start=1.5, end=2.0)], level, drop_db=30, pause=0.1, reach=0.5)
    assert (span.start, span.end) == pytest.approx((1.0, 2.5))


@pytest.mark.parametrize("known", [[], [Span(start=0, end=1)], [Span(start=5, end=6)]])
def test_follow_in_silence_adds_nothing(known: list[Span]) -> None:
    assert follow(known, np.zeros(200, np.float32), 30, 0.1, 1.0) == known


def test_levels_of_both_channels_count() -> None:
    audio = np.stack([np.full(4_800, 0.3), np.full(4_800, -0.3)]).astype(np.float32)
    assert levels(audio) == pytest.approx(np.full(10, 0.3))
