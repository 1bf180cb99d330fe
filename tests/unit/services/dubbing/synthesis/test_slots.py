"""Slots: laws that hold for any utterances, and the cases users complain of."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.dubbing.synthesis.slots import slots
from shared.core.records import Shot, Utterance
from shared.settings.models import FitSettings
from tests.unit.services.dubbing.stand_ins import utterance

FIT = FitSettings()


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Utterance], list[Shot], float]:
    lines, time = [], 0.0
    for number in range(draw(st.integers(1, 8))):
        start = max(0.0, time + draw(st.floats(-0.5, 3.0)))
        time = start + draw(st.floats(0.1, 4.0))
        lines.append(utterance(number, start, time, speaker=draw(st.sampled_from(["S1", "S2"]))))
    end = time + draw(st.floats(0.0, 3.0))
    cuts = sorted(draw(st.lists(st.floats(0.0, end), max_size=5)))
    edges = [0.0, *cuts, end]
    return lines, [Shot(index=i, start=a, end=b) for i, (a, b) in enumerate(pairwise(edges))], end


@given(scenes())
def test_slots_stay_inside_shot_and_chunk_and_leave_the_next_line_free(
    scene: tuple[list[Utterance], list[Shot], float],
) -> None:
    lines, shots, end = scene
    found = slots(lines, shots, end, FIT)
    assert len(found) == len(lines)
    for line, slot in zip(lines, found, strict=True):
        assert slot.start == line.start
        assert min(line.end, end) <= slot.end <= end
        for shot in shots:
            if shot.start < line.end <= shot.end:
                assert slot.end <= shot.end
        for other in lines:
            if other is not line and other.start >= line.end:
                assert slot.end <= max(other.start, line.end)


@given(scenes())
def test_slots_of_lines_one_after_another_do_not_cross(scene: tuple[list[Utterance], list[Shot], float]) -> None:
    lines, shots, end = scene
    ordered = [line for index, line in enumerate(lines) if index == 0 or line.start >= lines[index - 1].end]
    if all(a.end <= b.start for a, b in pairwise(ordered)):
        found = slots(ordered, shots, end, FIT)
        assert all(a.end <= b.start for a, b in pairwise(found))


def one_shot(end: float) -> list[Shot]:
    return [Shot(index=0, start=0.0, end=end)]


def test_a_share_of_the_gap_is_lent_by_who_speaks_next() -> None:
    for speaker, share in (("S1", FIT.same_speaker_gap), ("S2", FIT.other_speaker_gap)):
        lines = [utterance(1, 1.0, 2.0, speaker="S1"), utterance(2, 4.0, 5.0, speaker=speaker)]
        (first, _) = slots(lines, one_shot(10), 10, FIT)
        assert abs(first.end - (2.0 + share * 2.0 - FIT.guard_seconds)) < 1e-9


def test_a_short_gap_is_left_alone() -> None:
    lines = [utterance(1, 1.0, 2.0), utterance(2, 2.1, 3.0)]
    assert slots(lines, one_shot(10), 10, FIT)[0].end == 2.0


def test_a_line_that_crosses_a_cut_may_finish_but_not_pass_the_end_of_its_last_shot() -> None:
    shots = [Shot(index=0, start=0, end=1.5), Shot(index=1, start=1.5, end=2.3), Shot(index=2, start=2.3, end=9)]
    (slot,) = slots([utterance(1, 1.0, 2.0)], shots, 9.0, FIT)
    assert slot.end == 2.3


def test_talked_over_lines_borrow_nothing() -> None:
    lines = [utterance(1, 1.0, 3.0, speaker="S1"), utterance(2, 2.0, 5.0, speaker="S2")]
    assert slots(lines, one_shot(10), 10, FIT)[0].end == 3.0
