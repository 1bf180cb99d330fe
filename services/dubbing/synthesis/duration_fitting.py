"""How long a line will be, which wording to say, and how fast. Pure arithmetic; rules: docs/fitting.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import NamedTuple

import numpy as np

from shared.settings.models import FitSettings

CHARACTERS_PER_SECOND = {"en": 17.0, "es": 18.0, "fr": 20.0, "it": 18.0, "pt": 18.0, "de": 19.0, "ja": 7.8}
"""Measured on Kokoro at speed 1, after the fixed part; real synthesis corrects it line by line."""
DEFAULT_CHARACTERS_PER_SECOND = 16.0
FIXED_SECONDS = 0.2
"""Every line takes this long besides its characters (onset and release): short lines are slower by the character."""
KEEP, LEARN = 0.7, 0.3
RANK_COST = 0.1
"""A wording one place further down must fit this much (in log length) better to be chosen."""
FIRST_SPEED = (0.85, 1.2)
"""Native speeds that the first synthesis may be asked for on a prediction alone."""
WORTH_A_TRY = 0.06
"""A smaller change of native speed is left to the stretch."""
UNSTRETCHED = 1.03
"""A length that is this near to its source is left as it is: no ear and no mouth tells, and stretching costs sound."""
SLOWEST_STRETCH = 0.9
"""Silence can always pad a short line, so it is never stretched slower than this."""


@dataclass
class SpeakingPace:
    """How fast voices speak at speed 1: a table, then an exponential average of real synthesis."""

    language: str
    _rates: dict[str, float] = field(default_factory=dict)

    def rate(self, voice: str) -> float:
        table = CHARACTERS_PER_SECOND.get(self.language, DEFAULT_CHARACTERS_PER_SECOND)
        return self._rates.get(voice, table)

    def seconds(self, text: str, voice: str) -> float:
        """Predicted length of ``text`` spoken at speed 1."""
        return FIXED_SECONDS + max(len(text.strip()), 1) / self.rate(voice)

    def usual(self, text: str) -> float:
        """Length of ``text`` at speed 1 by the table alone, which no strange synthesis can have moved."""
        table = CHARACTERS_PER_SECOND.get(self.language, DEFAULT_CHARACTERS_PER_SECOND)
        return FIXED_SECONDS + max(len(text.strip()), 1) / table

    def learn(self, text: str, voice: str, seconds: float, speed: float) -> None:
        """A synthesis at ``speed`` was ``seconds`` long after trimming."""
        moving = seconds * speed - FIXED_SECONDS
        if moving > 0.1:
            heard = max(len(text.strip()), 1) / moving
            self._rates[voice] = KEEP * self.rate(voice) + LEARN * heard


def misfit(predicted: float, source: float, slot: float, fit: FitSettings) -> float:
    """How far a length is from what can be said at its own tempo, as |log ratio|.

    Running on into the silence after the source costs half: it fits, but it is heard while no mouth moves. What stays
    empty at the slowest tempo that sounds natural costs half as much again: a longer wording would fill it.
    """
    comfortable = source * fit.free_high
    empty = max(0.0, log(source * fit.accept_low / predicted))
    into_silence = max(0.0, log(min(predicted, max(slot, comfortable)) / comfortable))
    past_slot = max(0.0, log(predicted / max(slot, comfortable)))
    return max(log(source * fit.free_low / predicted) + 0.5 * empty, 0.5 * into_silence + past_slot)


def choose(costs: Sequence[float]) -> int:
    """Index of the wording to say, given what each is off by: best first, unless a later one fits clearly better."""
    return int(np.argmin([RANK_COST * rank + cost for rank, cost in enumerate(costs)]))


def first_speed(predicted: float, source: float, native: tuple[float, float]) -> float:
    """Native speed for the first synthesis; 1 when the prediction is near."""
    ratio = predicted / source
    if 0.95 <= ratio <= 1.05:
        return 1.0
    return round(float(np.clip(ratio, max(FIRST_SPEED[0], native[0]), min(FIRST_SPEED[1], native[1]))), 2)


def exact_speed(seconds: float, source: float, slot: float, native: tuple[float, float], fit: FitSettings) -> float:
    """Native speed at which speech that is known to last ``seconds`` at speed 1 lasts as long as its source.

    Within what is accepted; only a full slot makes it faster.
    """
    tempo = seconds / source
    if tempo > 1:
        tempo = min(tempo, max(fit.accept_high, seconds / slot))
    return float(np.clip(tempo, max(native[0], fit.accept_low), native[1]))


def next_speed(
    speed: float, seconds: float, source: float, slot: float, *, native: tuple[float, float], fit: FitSettings
) -> float | None:
    """Native speed for another synthesis when ``seconds`` at ``speed`` does not fit; None when it is good enough.

    A line that is too long aims at its source, or at the slot where the source would need more than an accepted tempo.
    A line that is too short is slowed down to ``accept_low`` and no further: the rest is silence.
    """
    ratio = seconds / source
    if fit.free_low <= ratio <= fit.free_high:
        return None
    tempo = speed * ratio
    if ratio > 1:
        tempo = min(tempo, max(fit.accept_high, speed * seconds / max(slot, source)))
    wanted = round(float(np.clip(tempo, max(native[0], fit.accept_low), native[1])), 2)
    return wanted if abs(wanted - speed) >= WORTH_A_TRY else None


class Placement(NamedTuple):
    """How a synthesised line is laid into its slot, seconds."""

    length: float
    """Length after stretching, before any cut."""
    stretch: float
    """Tempo factor; > 1 is faster."""
    overflow: float
    """What is cut at the slot's end because it did not fit even at the hardest tempo."""


def place(seconds: float, source: float, slot: float, speed: float, fit: FitSettings) -> Placement:
    """Tempo for a line of ``seconds``: towards the source's length, inside the slot, within the limits."""
    if seconds <= slot and fit.free_low <= seconds / source <= UNSTRETCHED:
        tempo = 1.0
    elif seconds > source:
        tempo = max(min(seconds / source, fit.accept_high), seconds / slot)
    else:
        # Slowing by the synthesiser and by stretching add up; together they stay natural.
        tempo = min(1.0, max(seconds / source, SLOWEST_STRETCH, fit.accept_low / min(speed, 1.0)))
    tempo = float(np.clip(tempo, fit.hard_low, fit.hard_high))
    length = seconds / tempo
    # Less than a microsecond is rounding.
    return Placement(length, tempo, length - slot if length - slot > 1e-6 else 0.0)
