"""Words that a translation should not have: another language's, the source's, and no language's.

Word frequencies: wordfreq (Speer 2022), on Zipf's scale: 3 is a word that is met once in a million.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

LANGUAGES = ("en", "es", "fr", "it", "pt", "de")
"""Those whose words models mix up with one another: a word is looked for in the lists of the others."""
COMPOUNDING = frozenset({"de"})
"""Its words are put together at will: one that no list has may well be one."""
WORD = re.compile(r"[^\W\d_]+")
SENTENCE_START = re.compile(r"(?:^|[.!?…:]\s+)[\"'“«¡¿]*([^\W\d_]+)")
COMMON = 3.0
"""From here on a word of another language counts; its small list begins here."""
FOREIGN_MARGIN = 2.0
"""Zipf points by which another language has a word oftener: “não” and “é” are in Spanish texts too."""
OWN = 4.4
"""A word met so often is the language's own, though another may have it yet oftener: Spanish “van”, German “tu”."""
LEFT_OVER = 2.5
"""A word of the source that the target language has less often than this was left where it stood."""
SHORTEST_UNKNOWN = 4
"""Letters."""
CLITICS = {
    "es": re.compile(r"(?:me|te|se|nos|os|l[aeo]s?){1,2}$"),
    "it": re.compile(r"(?:[mtscv][ie]|gli|glie|l[aeio]|ne){1,2}$"),
    "pt": re.compile(r"-?(?:me|te|se|nos|vos|lhes?|l?[ao]s?)$"),
}
"""Pronouns written on to the end of a verb: “explicándomelo” is in no list."""


def strange_words(source_text: str, text: str, source: str, target: str) -> list[str]:
    """The words of ``text`` that are hardly ``target``'s, in order; names that the source has are let be.

    Empty for languages whose words are not known here.
    """
    if target not in LANGUAGES or source == target:
        return []
    given = WORD.findall(source_text)
    starts = set(SENTENCE_START.findall(source_text))
    names = {word.casefold() for word in given if word[0].isupper() and word not in starts}
    maybe_names = names | {word.casefold() for word in given if word[0].isupper()}
    common_words = {word for word in given if word.islower()}
    joined = {first.casefold() + second.casefold() for first, second in pairwise(given)}
    opening = set(SENTENCE_START.findall(text))
    strange = []
    for word in WORD.findall(text):
        lower = word.casefold()
        if lower in names or (len(lower) == 1 and lower.isascii()):
            continue
        mine = zipf(lower, target, "large")
        a_name = lower in maybe_names or (word[0].isupper() and word not in opening)
        if (
            is_foreign(lower, mine, target)
            or (lower in common_words and len(lower) >= SHORTEST_UNKNOWN and mine < LEFT_OVER)
            or (lower in joined and not mine)
            or (not a_name and is_unknown(lower, mine, target))
        ):
            strange.append(word)
    return strange


def is_foreign(word: str, mine: float, target: str) -> bool:
    if mine >= OWN:
        return False
    theirs = max(zipf(word, language, "small") for language in LANGUAGES if language != target)
    return theirs >= COMMON and theirs - mine >= FOREIGN_MARGIN


def is_unknown(word: str, mine: float, target: str) -> bool:
    """Whether no list has the word, with or without the pronouns at its end."""
    if mine > 0 or target in COMPOUNDING or len(word) < SHORTEST_UNKNOWN:
        return False
    if target not in CLITICS or not (match := CLITICS[target].search(word)):
        return True
    stem = without_accents(word[: match.start()])
    return not any(zipf(stem + ending, target, "large") for ending in ("", "e", "r"))


def without_accents(word: str) -> str:
    plain = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", "".join(char for char in plain if char not in "\u0300\u0301"))


def zipf(word: str, language: str, size: str) -> float:
    """Log of how often a word is met in 10⁹ words; 0 where the list does not have it."""
    share = frequencies(language, size).get(word)
    return math.log10(share) + 9 if share else 0.0


@lru_cache
def frequencies(language: str, size: str) -> dict[str, float]:
    """Word → share of all words. ``size``: small (from Zipf 3 on) or large (from 1 on; 60 MB of memory)."""
    import wordfreq

    return dict(wordfreq.get_frequency_dict(language, size))
