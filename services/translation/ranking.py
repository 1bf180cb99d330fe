"""Which candidate is best: what the model thinks of it, less what it costs to squeeze it into its time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from services.translation.budget import Budget
from shared.core.records import Hypothesis
from shared.core.text import normalise, spoken_characters

LONG_COST = 1.0
"""Score lost per aimed length too much; scores are mean log-probabilities, −0.2 to −1 for usable lines."""
SHORT_COST = 0.5
SHORT_SHARE = 0.5
"""Below this share of the source's own length something was left out."""
TERM_COST = 0.5
"""For each glossary term that the candidate does not use."""
WORD_COST = 0.5
"""For each word that is not the language's: more than what usable candidates differ by."""


def rank(
    candidates: Iterable[Hypothesis],
    room: Budget,
    tolerance: float,
    terms: Iterable[str] = (),
    strange: Callable[[str], int] = lambda text: 0,
) -> list[Hypothesis]:
    """Best first, each text once, with the score it was ranked by.

    Args:
        strange: How many words of a text are not its language's.
    """
    wanted = [normalise(term) for term in terms]
    best: dict[str, Hypothesis] = {}
    for candidate in candidates:
        normalised = normalise(candidate.text)
        score = candidate.score - length_cost(candidate.text, room, tolerance)
        score -= TERM_COST * sum(term not in normalised for term in wanted) + WORD_COST * strange(candidate.text)
        if normalised not in best or best[normalised].score < score:
            best[normalised] = Hypothesis(text=candidate.text, score=round(score, 4))
    return sorted(best.values(), key=lambda candidate: -candidate.score)


def length_cost(text: str, room: Budget, tolerance: float) -> float:
    """0 within the tolerance of the aim; grows with what is too much, and with what must be missing."""
    size = spoken_characters(text)
    excess = size / room.aim - (1 + tolerance)
    lack = SHORT_SHARE - size / room.expected
    return LONG_COST * max(excess, 0.0) + SHORT_COST * max(lack, 0.0)


def used(glossary: Mapping[str, str], text: str) -> dict[str, str]:
    """The glossary's terms that are in a source text, as whole words, whatever their case."""
    return {term: wanted for term, wanted in glossary.items() if term and whole_word(term).search(text)}


def with_glossary(text: str, glossary: Mapping[str, str]) -> str:
    """A term that was left in the source language is replaced by the glossary's word."""
    for term, wanted in glossary.items():
        text = whole_word(term).sub(wanted.replace("\\", r"\\"), text)
    return text


def whole_word(term: str) -> re.Pattern[str]:
    """“art” is not in “party”; Japanese and its like have no spaces to tell words by."""
    before, after = (r"(?<![a-z\d])" if term[0].isascii() else "", r"(?![a-z\d])" if term[-1].isascii() else "")
    return re.compile(before + re.escape(term) + after, re.IGNORECASE)
