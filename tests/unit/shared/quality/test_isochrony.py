"""Isochrony and the arithmetic of spans."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.quality.isochrony import isochrony
from shared.quality.spans import common, total, union

cells = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=8)


def spans_of(raw: list[tuple[int, int]]) -> list[tuple[float, float]]:
    return [(start / 10, (start + length) / 10) for start, length in raw]


def cells_of(spans: list[tuple[float, float]]) -> set[int]:
    return {cell for start, end in spans for cell in range(round(start * 10), round(end * 10))}


@given(cells)
def test_union_covers_the_same_time_once(raw: list[tuple[int, int]]) -> None:
    joined = union(spans_of(raw))
    assert cells_of(joined) == cells_of(spans_of(raw))
    assert all(a[1] < b[0] for a, b in pairwise(joined))


@given(cells, cells)
def test_iou_counts_as_cells_do(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    a, b = spans_of(one), spans_of(other)
    both, either = cells_of(a) & cells_of(b), cells_of(a) | cells_of(b)
    assert common(a, b) == pytest.approx(len(both) / 10)
    assert total([*a, *b]) == pytest.approx(len(either) / 10)
    found = isochrony(a, b)
    if not either:
        assert found is None
    else:
        assert found is not None and found.iou == pytest.approx(len(both) / len(either))


def test_errors_are_signed_and_inside_the_window() -> None:
    found = isochrony([(1.0, 3.0), (9.0, 12.0)], [(1.25, 3.5)], 0.0, 5.0)
    assert found is not None
    assert found.onset_error == pytest.approx(0.25)
    assert found.offset_error == pytest.approx(0.5)
    assert found.overlap == pytest.approx(1.75 / 2)
    assert found.iou == pytest.approx(1.75 / 2.5)


def test_one_silent_side_is_zero_and_has_no_errors() -> None:
    silent_dub, silent_source = isochrony([(0, 1)], []), isochrony([], [(0, 1)])
    assert silent_dub == (0.0, 0.0, None, None)
    assert silent_source == (0.0, None, None, None)
