"""How well a translation's text may belong to a line's: length, numbers, names and words that both have."""

from __future__ import annotations

import re
from functools import lru_cache
from math import log
from typing import NamedTuple

from services.translation.budget import rate
from shared.core.text import normalise, spoken_characters

LENGTH_COST, LENGTH_FREE, LENGTH_MOST = 1.0, 0.35, 2.0
"""Of the log ratio of text and expected length: subtitles leave out about a third without being another line's."""
SMOOTHING = 4
"""Characters that are added to both lengths: «Sí.» for “Yeah, sure.” says little."""
NUMBER_GAIN, NUMBER_COST = 0.6, 0.8
NAME_GAIN, MOST_NAMES = 0.4, 2
WORD_GAIN = 0.5
SHARED_LETTERS = 4
"""Words are kin when they begin with so many equal letters: “telephone”, «teléfono»."""
FOLDED = str.maketrans("áàâäãéèêëíìîïóòôöõúùûüñç", "aaaaaeeeeiiiiooooouuuunc")

NUMBER = re.compile(r"\d+")
NAME = re.compile(r"(?<=[\w,;] )[^\W\d_][\w'’-]*")
"""Words inside a sentence: one that begins with a capital there is a name."""


class Features(NamedTuple):
    """What of a text is compared."""

    length: int
    """Spoken characters."""
    numbers: frozenset[str]
    names: frozenset[str]
    stems: frozenset[str]
    """First letters of the words, without accents."""


@lru_cache(maxsize=20_000)
def features(text: str) -> Features:
    words = normalise(text).translate(FOLDED).split()
    names = {word.casefold().translate(FOLDED) for word in NAME.findall(text) if word[0].isupper() and len(word) > 2}
    stems = {word[:SHARED_LETTERS] for word in words if len(word) >= SHARED_LETTERS and word.isalpha()}
    return Features(spoken_characters(text), frozenset(NUMBER.findall(text)), frozenset(names), frozenset(stems))


def united(parts: tuple[Features, ...]) -> Features:
    """Those of several texts together."""
    if len(parts) == 1:
        return parts[0]
    return Features(
        sum(part.length for part in parts) + len(parts) - 1,
        frozenset().union(*(part.numbers for part in parts)),
        frozenset().union(*(part.names for part in parts)),
        frozenset().union(*(part.stems for part in parts)),
    )


def text_cost(line: Features, translated: Features, source: str, target: str) -> float:
    """Cost of a translation being a line's; below 0 where names, numbers or words speak for it."""
    expected = line.length * rate(target) / rate(source)
    ratio = abs(log((translated.length + SMOOTHING) / (expected + SMOOTHING)))
    cost = LENGTH_COST * min(max(ratio - LENGTH_FREE, 0.0), LENGTH_MOST)
    if line.numbers and translated.numbers:
        common = len(line.numbers & translated.numbers) / len(line.numbers | translated.numbers)
        cost += NUMBER_COST * (1 - common) - NUMBER_GAIN * common
    # Names at the beginning of a sentence are among the other text's stems only.
    alike = sum(name in translated.names or name[:SHARED_LETTERS] in translated.stems for name in line.names)
    cost -= NAME_GAIN * min(alike, MOST_NAMES)
    if line.stems and translated.stems:
        shared = 2 * len(line.stems & translated.stems) / (len(line.stems) + len(translated.stems))
        cost -= WORD_GAIN * shared
    return cost
