"""Prosodic alignment: which words of a line are said in which of the original's stretches of speech.

The line is broken where its phrases fit the stretches best and where a speaker would pause, by dynamic programming
over both (Federico et al., 2001.06785; phrases that may run on: Virkar et al., 2012.11171). A pause that no break is
worth is spoken through. Pure arithmetic; rules: docs/fitting.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import log
from typing import NamedTuple

from services.dubbing.synthesis.duration_fitting import misfit
from services.dubbing.synthesis.islands import Island, joined
from shared.core.text import alphanumerics
from shared.settings.models import FitSettings

AFTER_SENTENCE, AFTER_CLAUSE, AFTER_WORD, AFTER_SHORT_WORD = 0.0, 0.02, 0.1, 0.3
"""What a break costs, in log length of the whole line. A word of up to three letters leans on the next one."""
SHORT_WORD = 3
UNEVEN = 1.0
"""Weight of the squared log ratio: two phrases a little off are better than one far off."""
SPOKEN_THROUGH = 1.0
"""Cost of a pause that is spoken through or a stretch that stays silent, times its share of the original's speech."""
SENTENCE_END, CLAUSE_END = re.compile(r"[.!?…。！？][\"”»)]*$"), re.compile(r"[,;:、，—–][\"”»)]*$")
WITHOUT_SPACES = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
JAPANESE_UNIT = re.compile(
    r".+?(?:[、。！？…，,.!?]+[」』”\"]*|(?<=[\u3041-\u309f])(?=[\u30a0-\u30ff\u4e00-\u9fff「『])|$)", re.DOTALL
)
"""A phrase of Japanese begins with a content word, most often in kanji or katakana, and ends in kana or a mark."""


class Phrase(NamedTuple):
    """Words that are said without a pause of the original's, and where."""

    text: str
    island: Island


class Phrasing(NamedTuple):
    """A text laid over the islands."""

    phrases: tuple[Phrase, ...]
    cost: float
    """How far it is from what can be said at its own tempo at the original's times, about a log ratio."""


MOST_PARTS = 150
"""A longer text is no line of a film, and dividing it would take time and memory with its square: it is said as one."""
UNREACHED: tuple[float, tuple[Phrase, ...]] = (float("inf"), ())


def units(text: str) -> list[tuple[str, float]]:
    """A text in the parts that no break divides, each with the cost of a break behind it."""
    spaced = WITHOUT_SPACES.search(text) is None
    parts: list[str] = []
    for part in text.split() if spaced else JAPANESE_UNIT.findall(text):
        # A mark that stands alone is no phrase.
        if parts and not alphanumerics(part):
            parts[-1] += f" {part}" if spaced else part
        else:
            parts.append(part)
    if len(parts) > 1 and not alphanumerics(parts[0]):
        parts[:2] = [parts[0] + (" " if spaced else "") + parts[1]]
    return [(part, break_cost(part, spaced)) for part in parts]


def break_cost(unit: str, spaced: bool) -> float:
    if SENTENCE_END.search(unit):
        return AFTER_SENTENCE
    if CLAUSE_END.search(unit):
        return AFTER_CLAUSE
    return AFTER_SHORT_WORD if spaced and len(unit.strip('¿¡"“«(')) <= SHORT_WORD else AFTER_WORD


def align_phrases(text: str, islands: Sequence[Island], seconds: Callable[[str], float], fit: FitSettings) -> Phrasing:
    """The cheapest division of ``text`` among the islands of its line.

    Args:
        seconds: Predicted length of a part of the text at its natural tempo.
    """
    parts = units(text)
    if len(islands) == 1 or not 2 <= len(parts) <= MOST_PARTS:
        whole = joined(islands)
        return Phrasing((Phrase(text, whole),), phrase_cost(seconds(text), whole, fit))
    joint = "" if WITHOUT_SPACES.search(text) else " "
    spoken = sum(island.source for island in islands)
    said = {
        (first, last): joint.join(part for part, _ in parts[first:last])
        for first in range(len(parts))
        for last in range(first + 1, len(parts) + 1)
    }
    lengths = {place: seconds(part) for place, part in said.items()}
    # After k islands and n parts: the cheapest way there, and the pieces it consists of.
    ways: list[dict[int, tuple[float, tuple[Phrase, ...]]]] = [{0: (0.0, ())}]
    for until in range(1, len(islands) + 1):
        here: dict[int, tuple[float, tuple[Phrase, ...]]] = {}
        for begin in range(until):
            island = joined(islands[begin:until])
            speech = sum(one.source for one in islands[begin:until])
            through = SPOKEN_THROUGH * (island.source - speech) / spoken
            for first, (before, phrases) in ways[begin].items():
                silent = before + SPOKEN_THROUGH * island.source / spoken
                if until == begin + 1 and silent < here.get(first, UNREACHED)[0]:
                    here[first] = silent, phrases
                for last in range(first + 1, len(parts) + 1):
                    unfit = phrase_cost(lengths[first, last], island, fit) * speech / spoken
                    broken = parts[last - 1][1] if last < len(parts) else 0.0
                    cost = before + through + unfit + broken
                    if cost < here.get(last, UNREACHED)[0]:
                        here[last] = cost, (*phrases, Phrase(said[first, last], island))
        ways.append(here)
    cost, chosen = ways[-1][len(parts)]
    return Phrasing(chosen, cost)


def with_pause(text: str) -> str:
    """A phrase that others follow: a voice that sees a mark does not end as if all was said."""
    if not text or not text[-1].isalnum():
        return text
    return text + ("、" if WITHOUT_SPACES.search(text) else ",")


def phrase_cost(predicted: float, island: Island, fit: FitSettings) -> float:
    """How far a phrase is from its island."""
    return misfit(predicted, island.source, island.slot, fit) + UNEVEN * log(predicted / island.source) ** 2
