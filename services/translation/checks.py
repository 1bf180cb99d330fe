"""What a translation must not be. Small models copy, repeat themselves, comment and invent: each is caught here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from itertools import pairwise

from services.translation.budget import Budget
from services.translation.stopwords import looks_like
from shared.core.text import UNSPACED, alphanumerics, normalise, spoken_characters

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
CHINESE = re.compile(r"好的|是的|不是|明白了|知道了|我们|我[明知不是要在有会]|可以|谢谢|再见|什么|没有|[你您吗们]")
"""Chinese that is written with characters which Japanese has too."""
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
ABOUT_TRANSLATION = re.compile(
    r"translat|\btrad[uo][czt]|traduir|übersetz|翻訳|अनुवाद|interpret|interpr[eè]t|dolmetsch|通訳|दुभाषिय|перев[ео]д|译",
    re.IGNORECASE,
)
"""A line speaks of translating, or of somebody who does."""

APOLOGIES = {
    "en": re.compile(r"\b(?:sorry|apologi[sz]e|afraid)\b", re.IGNORECASE),
    "es": re.compile(r"\b(?:lo siento|disculp\w{1,8}|perd[oó]n\w{0,4})\b", re.IGNORECASE),
    "fr": re.compile(r"\b(?:désolée?|navrée?|excuse[zr]?|pardon\w{0,4}|regrette)\b", re.IGNORECASE),
    "it": re.compile(r"\b(?:mi (?:di)?spiace|spiacente|scus\w{1,4}|perdon\w{1,4})\b", re.IGNORECASE),
    "pt": re.compile(r"\b(?:desculp\w{1,4}|sinto muito|lamento|perdão)\b", re.IGNORECASE),
    "de": re.compile(r"\b(?:tut mir (?:sehr )?leid|entschuldig\w{1,5}|verzeih\w{1,5}|bedauere?)\b", re.IGNORECASE),
    "ja": re.compile(r"(?:申し訳|すみません|ごめん)", re.IGNORECASE),
    "hi": re.compile(r"(?:माफ़|माफ|क्षमा|खेद)", re.IGNORECASE),
    "nl": re.compile(r"\b(?:het spijt me|sorry|excuse\w{1,4}|helaas)\b", re.IGNORECASE),
    "pl": re.compile(r"\b(?:przepraszam|przykro mi|wybacz\w{0,4}|niestety)\b", re.IGNORECASE),
    "ru": re.compile(r"(?:извини|прости|простите|к сожалению|сожалею)", re.IGNORECASE),
    "tr": re.compile(r"(?:üzgünüm|özür|maalesef|pardon)", re.IGNORECASE),
    "zh": re.compile(r"(?:抱歉|对不起|很遗憾)", re.IGNORECASE),
    "ko": re.compile(r"(?:죄송|미안|유감)", re.IGNORECASE),
}
INABILITIES = {
    "en": re.compile(r"\b(?:can(?:['’]?t| ?not)|unable|not able|couldn['’]?t|won['’]?t)\b", re.IGNORECASE),
    "es": re.compile(r"\bno (?:puedo|podemos|podr\w{1,5}|soy capaz)\b", re.IGNORECASE),
    "fr": re.compile(
        r"\b(?:ne (?:peux|peut|puis|pouvons|pourr\w{1,5})|n['’]arrive|incapable|impossible)\b", re.IGNORECASE
    ),
    "it": re.compile(r"\bnon (?:posso|possiamo|potr\w{1,5}|riesco|sono in grado)\b", re.IGNORECASE),
    "pt": re.compile(r"\bnão (?:posso|podemos|poder\w{1,5}|consigo|sou capaz)\b", re.IGNORECASE),
    "de": re.compile(
        r"\b(?:kann|können|könnte|vermag)\b[^.!?]{0,60}\b(?:nicht|kein\w{0,2})\b|\bnicht in der Lage\b", re.IGNORECASE
    ),
    "ja": re.compile(r"(?:できません|できない|出来ません|かねます|られません)", re.IGNORECASE),
    "hi": re.compile(r"(?:नहीं (?:कर )?सकत|असमर्थ)", re.IGNORECASE),
    "nl": re.compile(r"\b(?:kan|kunnen|kon)\b[^.!?]{0,60}\b(?:niet|geen)\b", re.IGNORECASE),
    "pl": re.compile(r"\bnie (?:mogę|możemy|potrafię|jestem w stanie)\b", re.IGNORECASE),
    "ru": re.compile(r"\bне (?:могу|можем|смогу|сможем|в состоянии)\b", re.IGNORECASE),
    "tr": re.compile(r"(?:edemem|yapamam|[ea]m[ıi]yorum|[ea]m[ae]m)\b", re.IGNORECASE),
    "zh": re.compile(r"(?:无法|不能|没办法)", re.IGNORECASE),
    "ko": re.compile(r"(?:수 없|못 )", re.IGNORECASE),
}
"""What a model says when it refuses, in both halves. People say it too: it is a refusal only where the line did not."""

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
    return any(pattern.search(text) and not pattern.search(source_text) for pattern in (META, ABOUT_TRANSLATION))


def refusal(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    """“Je suis désolé, mais je ne peux pas …” for a line that does not say that something cannot be."""
    if source not in INABILITIES:
        return False
    return any(refuses(text, language) for language in {target, "en"}) and not says(INABILITIES, source_text, source)


def refuses(text: str, language: str) -> bool:
    return says(APOLOGIES, text, language) and says(INABILITIES, text, language)


def says(patterns: Mapping[str, re.Pattern[str]], text: str, language: str) -> bool:
    return language in patterns and bool(patterns[language].search(text))


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
    translation, original = normalise(text), normalise(source_text)
    return any(
        pattern.search(translation) and not pattern.search(original) for pattern in (REPEATED_OFTEN, REPEATED_LONG)
    )


def wrong_script(source_text: str, text: str, source: str, target: str, room: Budget) -> bool:
    letters = [char for char in text if char.isalpha()]
    if not letters or short_copy(source_text, text):
        return False
    if target == "ja" and text.encode("cp932", "ignore").decode("cp932") != text:
        # Simplified Chinese characters have no place in the Japanese character set.
        return True
    wanted = SCRIPTS.get(target, LATIN)
    if any(not unicodedata.name(char, "").startswith((*wanted, *LATIN)) for char in set(letters) - set(source_text)):
        # A third script: neither the language's own, nor a name's, nor the source's.
        return True
    inside = sum(unicodedata.name(char, "").startswith(wanted) for char in letters)
    if target == "ja" and not any(unicodedata.name(char, "").startswith(wanted[:2]) for char in letters):
        # Kanji alone is Japanese only in the shortest of lines; else it is Chinese.
        return len(letters) > 6 or inside == 0 or bool(CHINESE.search(text))
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
    "refusal": refusal,
    "copied": copied,
    "too_long": too_long,
    "repeats": repeats,
    "wrong_script": wrong_script,
    "wrong_language": wrong_language,
    "left_in_english": left_in_english,
}
"""Reason → test, in order. ``wrong_script`` before ``wrong_language``: it is the surer one."""
