"""Which clocks are worth trying."""

from __future__ import annotations

import random

import pytest

from services.translation.alignment.clocks import RATES, Clock, candidate_clocks
from shared.core.records import Span


def speech(seed: int = 1, number: int = 200) -> list[Span]:
    dice, at, out = random.Random(seed), 0.0, []
    for _ in range(number):
        at += dice.uniform(0.3, 8)
        out.append(Span(start=at, end=at + dice.uniform(0.5, 4)))
        at = out[-1].end
    return out


def on_file(spans: list[Span], clock: Clock) -> list[Span]:
    return [
        Span(start=(span.start - clock.delay) / clock.rate, end=(span.end - clock.delay) / clock.rate) for span in spans
    ]


@pytest.mark.parametrize("rate", [1.0, 25 / 24, 24_000 / 1001 / 25])
@pytest.mark.parametrize("delay", [-40.0, 12.5])
def test_delay_and_rate_are_among_the_candidates(rate: float, delay: float) -> None:
    film = speech()
    clocks = candidate_clocks(film, on_file(film, Clock(rate, delay)))
    assert clocks[0].is_own
    assert clocks[1].rate == pytest.approx(rate) and clocks[1].delay == pytest.approx(delay, abs=0.3)


def test_what_fits_already_needs_no_other_clock() -> None:
    assert candidate_clocks(speech(), speech()) == [Clock()]


def test_other_films_and_nothing_at_all_give_none() -> None:
    assert candidate_clocks(speech(1), speech(2)) == [Clock()]
    assert candidate_clocks([], speech()) == candidate_clocks(speech(), []) == [Clock()]
    assert candidate_clocks([Span(start=0, end=1)], [Span(start=0, end=1e9)]) == [Clock()]


def test_the_rate_that_changes_nothing_comes_first() -> None:
    assert RATES[0] == 1.0 and len(RATES) == 7
