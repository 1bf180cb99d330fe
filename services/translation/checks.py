"""What a translation must not be. Small models copy, repeat themselves, comment and invent: each is caught here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

from services.translation.budget import Budget
from services.translation.stopwords import looks_like
from shared.text import UNSPACED, alphanumerics, normalise, spoken_characters

Check = Callable[[str, str, str, str, Budget], bool]

SCRIPTS = {
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
    "zh": ("CJK",),
    "ko": ("HANGUL",),
    "ru": ("CYRILLIC",),
    "uk": ("CYRILLIC",),
    "bg": ("CYRILLIC",),
    "el": ("GREEK",),
    "ar": ("ARABIC",),
    "he": ("HEBREW",),
    "hi": ("DEVANAGARI",),
    "th": ("THAI",),
}
LATIN = ("LATIN",)
MIN_SCRIPT_SHARE = 0.5
SHORT_WORDS = 2
"""“OK”, “Taxi!”, “Hello, Anna.” may be the same in both languages."""
INVENTED = 3.0
"""Times the room and the source's own length; beyond, sentences were made up."""

META = re.compile(
    r"\n|<\||```|[\[\]{}]|[（(][^()（）]*+[)）]\s*$"
    r"|^\W*(here(['’]s| is)( the)?|translation|translated|note|notes|user|assistant|system|traducci[oó]n|traduction"
    r"|traduzione|tradução|übersetzung|翻訳|訳)\b[^.!?]{0,40}[:：]"
    r"|^(english|spanish|french|italian|german|portuguese|japanese|español|français|italiano|deutsch)\s*:"
    r"|\b(as an ai|language model|film dialogue)\b",
    re.IGNORECASE,
)
ADVERB = re.compile(r"\b[a-z]{3,}ly\b")
REPEATED_OFTEN = re.compile(r"(.{2,40}?)(?:[ ]?\1){2,}")
# Longer phrases than that would take time that grows with the square of the line.
REPEATED_LONG = re.compile(r"(.{14,200}?)[ ]?\1")


def fault(source_text: str, text: str, source: str, target: str, room: Budget) -> str | None:
    """The first reason not to use ``text`` as the ``target`` version of ``source_text``; None when it may be used."""
    for reason, check in CHECKS.items():
        if check(source_text, text, source, target, room):
            return reason
    return None


def empty(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    return alphanumerics(text) == 0


def meta(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    """Talk about the translation instead of it, notes in brackets, or pieces of the prompt."""
    return bool(META.search(text)) and not META.search(source_text)


def copied(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    """The source handed back. Short lines and lines of names only may stay as they are."""
    before, after = normalise(source_text).split(), normalise(text).split()
    if source == target or len(set(before)) <= SHORT_WORDS or only_names(source_text):
        return False
    pairs = list(pairwise(before))
    kept = set(pairwise(after))
    return before == after or (len(pairs) >= 3 and sum(pair in kept for pair in pairs) > 0.6 * len(pairs))


def only_names(text: str) -> bool:
    words = re.findall(r"[^\W\d_][\w'’-]*", text)
    return bool(words) and all(word[0].isupper() for word in words)


def repeats(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    """A phrase over and over where the source has none: “No, no, no” may stay."""
    said, asked = normalise(text), normalise(source_text)
    return any(pattern.search(said) and not pattern.search(asked) for pattern in (REPEATED_OFTEN, REPEATED_LONG))


def wrong_script(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    letters = [char for char in text if char.isalpha()]
    if not letters or short_copy(source_text, text):
        return False
    if target == "ja" and text.encode("cp932", "ignore").decode("cp932") != text:
        # Simplified Chinese characters have no place in the Japanese character set.
        return True
    wanted = SCRIPTS.get(target, LATIN)
    inside = sum(unicodedata.name(char, "").startswith(wanted) for char in letters)
    if target == "ja" and not any(unicodedata.name(char, "").startswith(wanted[:2]) for char in letters):
        # Kanji alone is Japanese only in the shortest of lines; else it is Chinese.
        return len(letters) > 6 or inside == 0
    return inside < MIN_SCRIPT_SHARE * len(letters)


def short_copy(source_text: str, text: str) -> bool:
    words = normalise(source_text).split()
    return len(words) <= SHORT_WORDS and normalise(text).split() == words


def wrong_language(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    heard = None if target in UNSPACED else looks_like(text, target)
    return heard is not None and heard != target


def left_in_english(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    """“Me alegro de finally conocerte”: an English adverb kept; no other language here has words in -ly."""
    return source == "en" and bool(set(ADVERB.findall(source_text)) & set(ADVERB.findall(text)))


def too_long(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    return spoken_characters(text) > INVENTED * max(room.aim, room.expected, 8)


CHECKS: dict[str, Check] = {
    "empty": empty,
    "meta": meta,
    "copied": copied,
    "too_long": too_long,
    "repeats": repeats,
    "wrong_script": wrong_script,
    "wrong_language": wrong_language,
    "left_in_english": left_in_english,
}
"""Reason → test, in order. ``wrong_script`` before ``wrong_language``: it is the surer one."""
