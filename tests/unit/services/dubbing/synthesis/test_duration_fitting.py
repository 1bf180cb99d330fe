"""Choosing wording and tempo: limits hold for any numbers; short lines are not dragged out, long ones not crushed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dubbing.synthesis.duration_fitting import (
    FIXED_SECONDS,
    SpeakingPace,
    choose,
    exact_speed,
    first_speed,
    misfit,
    next_speed,
    place,
)
from shared.settings.models import FitSettings

FIT = FitSettings()
NATIVE = (0.8, 1.3)
seconds = st.floats(0.1, 15.0)


@given(seconds, seconds, st.floats(0.0, 5.0), st.floats(*NATIVE))
def test_placed_speech_ends_inside_its_slot_or_says_by_how_much_not(
    spoken: float, source: float, extra: float, speed: float
) -> None:
    slot = source + extra
    placed = place(spoken, source, slot, speed, FIT)
    assert FIT.hard_low <= placed.stretch <= FIT.hard_high
    assert placed.length == pytest.approx(spoken / placed.stretch)
    assert placed.overflow == pytest.approx(max(0.0, placed.length - slot), abs=1e-6)
    if placed.overflow > 0:
        assert placed.stretch == FIT.hard_high


@given(seconds, seconds, st.floats(0.0, 5.0), st.floats(*NATIVE))
def test_no_line_is_slowed_unnaturally_to_fill_its_slot(
    spoken: float, source: float, extra: float, speed: float
) -> None:
    placed = place(spoken, source, source + extra, speed, FIT)
    assert placed.stretch >= 0.9
    assert placed.stretch * min(speed, 1.0) >= min(FIT.accept_low, speed) - 1e-9


@given(seconds, seconds, st.floats(0.0, 5.0))
def test_no_line_is_hurried_more_than_its_slot_asks_for(spoken: float, source: float, extra: float) -> None:
    slot = source + extra
    placed = place(spoken, source, slot, 1.0, FIT)
    if placed.stretch > FIT.accept_high + 1e-9:
        assert spoken / FIT.accept_high > slot


def test_a_line_of_the_source_length_is_left_as_it_is() -> None:
    assert place(2.0, 2.0, 2.5, 1.0, FIT) == (2.0, 1.0, 0.0)


@given(st.floats(*NATIVE), seconds, seconds, st.floats(0.0, 5.0))
def test_native_speed_stays_in_range(speed: float, spoken: float, source: float, extra: float) -> None:
    assert NATIVE[0] <= first_speed(spoken, source, NATIVE) <= NATIVE[1]
    again = next_speed(speed, spoken, source, source + extra, native=NATIVE, fit=FIT)
    assert again is None or NATIVE[0] <= again <= NATIVE[1]
    if FIT.free_low <= spoken / source <= FIT.free_high:
        assert again is None


def test_the_best_wording_wins_unless_another_fits_clearly_better() -> None:
    def chosen(*lengths: float) -> int:
        return choose([misfit(length, 2.0, 2.2, FIT) for length in lengths])

    assert chosen(2.1, 2.0, 1.9) == 0
    assert chosen(4.0, 3.6, 2.0) == 2
    assert chosen(0.5, 2.0, 2.0) == 1


def test_a_longer_wording_is_preferred_where_the_slot_would_stay_empty() -> None:
    """A third choice that fits costs 0.2; the first is 24 % too short, more than slow speech makes good."""

    def chosen(*lengths: float) -> int:
        return choose([misfit(length, 2.0, 2.2, FIT) for length in lengths])

    assert chosen(1.52, 1.5, 2.0) == 2
    assert chosen(1.7, 1.5, 2.0) == 0


@given(seconds, seconds, st.floats(0.0, 5.0))
def test_a_known_length_is_spoken_at_the_speed_that_makes_it_the_sources(
    spoken: float, source: float, extra: float
) -> None:
    speed = exact_speed(spoken, source, source + extra, NATIVE, FIT)
    assert max(NATIVE[0], FIT.accept_low) <= speed <= NATIVE[1]
    if FIT.accept_low <= spoken / source <= FIT.accept_high:
        assert spoken / speed == pytest.approx(source)
    if speed > FIT.accept_high + 1e-9:
        assert spoken / FIT.accept_high > source + extra


def test_what_is_a_little_off_is_not_stretched() -> None:
    assert place(2.05, 2.0, 2.5, 1.0, FIT).stretch == 1.0
    assert place(2.2, 2.0, 2.5, 1.0, FIT).stretch == pytest.approx(1.1)


def test_pace_is_learnt_from_real_synthesis_by_voice() -> None:
    pace = SpeakingPace("es")
    text = "x" * 36
    before = pace.seconds(text, "slow")
    for _ in range(20):
        pace.learn(text, "slow", seconds=4.0, speed=1.0)
    assert pace.seconds(text, "slow") == pytest.approx(4.0, rel=0.02)
    assert pace.seconds(text, "other") == before
    pace.learn("x", "slow", seconds=0.0, speed=1.0)
    pace.learn("x", "slow", seconds=FIXED_SECONDS, speed=1.0)
    assert pace.seconds(text, "slow") == pytest.approx(4.0, rel=0.02)


def test_native_speed_counts_when_pace_is_learnt() -> None:
    one, two = SpeakingPace("es"), SpeakingPace("es")
    one.learn("some words here", "v", seconds=2.0, speed=1.0)
    two.learn("some words here", "v", seconds=1.6, speed=1.25)
    assert one.rate("v") == pytest.approx(two.rate("v"))
