"""How much can be said in the time a line has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared.core.records import Utterance
from shared.core.text import spoken_characters

CHARACTERS_PER_SECOND = {"en": 15.0, "es": 15.5, "fr": 15.0, "it": 15.0, "pt": 15.0, "de": 14.0, "ja": 10.0, "zh": 6.0}
"""Of synthetic speech at its natural speed, as written characters."""
OTHER_LANGUAGES = 15.0

FASTEST = 1.3
"""Speech may be this many times faster than natural (``dubbing.fit.hard_high``)."""
GAP_SHARE = 0.5
"""Of the pause before the next line that a long line may borrow."""
MAX_BORROWED_SECONDS = 1.0
SHORTEST_AIM = 6
"""Characters that always have room: “Sí, claro.” in 0.2 s is a fault of the times, not of the text."""


class Budget(NamedTuple):
    """Spoken characters (:func:`shared.core.text.spoken_characters`)."""

    aim: int
    """About as long as the source line lasts."""
    limit: int
    """More cannot be spoken in the slot."""
    expected: int
    """What a faithful translation needs, judged by the length of the source text."""


def rate(language: str) -> float:
    return CHARACTERS_PER_SECOND.get(language, OTHER_LANGUAGES)


def budget(text: str, duration: float, slot: float, source: str, target: str) -> Budget:
    """Characters for a line of ``duration`` seconds that may borrow the rest of ``slot`` seconds."""
    aim = max(round(duration * rate(target)), SHORTEST_AIM)
    limit = max(round(max(slot, duration) * rate(target) * FASTEST), 2 * SHORTEST_AIM)
    expected = max(round(spoken_characters(text) * rate(target) / rate(source)), SHORTEST_AIM)
    return Budget(aim, limit, expected)


def slots(utterances: Sequence[Utterance]) -> dict[str, float]:
    """Seconds by utterance id: its own duration and a share of the pause before the next line of anybody."""
    ordered = sorted(utterances, key=lambda line: line.start)
    seconds = {}
    for place, line in enumerate(ordered):
        gap = ordered[place + 1].start - line.end if place + 1 < len(ordered) else MAX_BORROWED_SECONDS
        seconds[line.id] = line.end - line.start + min(max(gap, 0.0) * GAP_SHARE, MAX_BORROWED_SECONDS)
    return seconds
