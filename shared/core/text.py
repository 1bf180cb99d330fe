"""Text compared and counted: normalisation, Japanese readings, character error rate."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from shared.core.errors import EngineError

UNSPACED = frozenset({"ja", "zh", "yue", "th", "lo", "my", "km"})
"""Languages that are written without spaces between words."""

KATAKANA_FROM_HIRAGANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
LONG_VOWELS = str.maketrans("ヂヅヲ", "ジズオ")


UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x312F),
    (0x3190, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),
    (0xFF00, 0xFF9F),
    (0x20000, 0x3FFFF),
)
"""Thai, Lao, Burmese, Khmer, Chinese and Japanese with their punctuation; Korean, which has spaces, is not in it."""


def is_unspaced(char: str) -> bool:
    """Whether a character is of a script without spaces between words."""
    return any(first <= ord(char) <= last for first, last in UNSPACED_RANGES)


def clean(text: str) -> str:
    """Text on one line with single spaces, without what no file can hold or nobody can read.

    Control characters, halves of surrogate pairs and code points that are no characters are left out.
    """
    kept = "".join(char for char in text if char.isspace() or unicodedata.category(char) not in ("Cc", "Cs", "Cn"))
    return " ".join(kept.split())


def alphanumerics(text: str) -> int:
    """Letters and digits of any script: what is left to speak when punctuation is taken away."""
    return sum(char.isalnum() for char in text)


def spoken_characters(text: str) -> int:
    """Characters that take time to speak: letters, digits and single spaces between words."""
    return len(normalise(text))


def normalise(text: str, language: str | None = None) -> str:
    """Case, punctuation and width set aside, for comparing two texts.

    NFKC, case folded, punctuation and symbols to spaces (apostrophes and hyphens inside words are joined), spaces
    single, none at all for languages written without them. Accents stay: they are sounds in es, fr and it.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"(?<=\w)['’‘`ʼ\-‐‑](?=\w)", "", text)
    kept = "".join(char if is_word_character(char) else " " for char in text)
    spaces = "" if language in UNSPACED else " "
    return spaces.join(kept.split())


def in_sentence_case(text: str, language: str, known: str = "") -> str:
    """A line all in capitals as it would be written otherwise; any other line as it is.

    Models take «WHERE ARE YOU GOING?» for a name or a sign. Words that ``known`` (the lines around) writes with a
    capital inside a sentence keep it; a single word of up to three letters may be initials and stays.
    """
    letters = [char for char in text if char.isalpha()]
    several = len(re.findall(r"[^\W\d_]+", text)) > 1
    if (len(letters) < 4 and not several) or any(char.islower() for char in letters) or text == text.lower():
        return text
    inside = re.findall(r"(?<=[\w,;] )[^\W\d_]+", known)
    names = {word.casefold(): word for word in inside if word[0].isupper() and not word.isupper()}
    out, begins = [], True
    for part in re.findall(r"[^\W\d_]++(?:['’][^\W\d_]++)*+|.", text, re.DOTALL):
        if part[0].isalpha():
            word = part.lower()
            first = begins or (language == "en" and re.fullmatch(r"i(?:['’]\w+)?", word))
            out.append(names.get(word) or (word[0].upper() + word[1:] if first else word))
            begins = False
        else:
            out.append(part)
            begins = part in ".!?…¡¿\n" or (begins and not part.isdigit())
    return "".join(out)


def is_word_character(char: str) -> bool:
    """Letters, digits, combining marks and the Japanese long-vowel mark."""
    return char.isalnum() or unicodedata.category(char).startswith("M") or char == "ー"


@lru_cache
def japanese_reader() -> Any:
    try:
        import pyopenjtalk
    except ImportError as error:
        raise EngineError(
            "Comparing Japanese by its sound needs pyopenjtalk: pip install --no-deps pyopenjtalk-plus sudachipy.",
            code="engine_missing",
            package="pyopenjtalk",
        ) from error
    return pyopenjtalk


def kana(text: str) -> str:
    """Katakana as Japanese text is pronounced, punctuation left out: 「今日は3時」 → キョーワサンジ.

    Raises:
        EngineError: ``engine_missing`` without pyopenjtalk.
    """
    spoken = japanese_reader().g2p(normalise(text, "ja"), kana=True, use_sudachi_kanji_yomi=False)
    if isinstance(spoken, list):
        spoken = "".join(spoken)
    return normalise(spoken, "ja").translate(KATAKANA_FROM_HIRAGANA).translate(LONG_VOWELS)


def comparable(text: str, language: str) -> str:
    """The form that error rates are counted on: read aloud, then kana for Japanese, :func:`normalise` for the rest."""
    from shared.core.spoken_form import read_aloud  # what only counts characters runs without the CLDR

    text = read_aloud(text, language)
    return kana(text) if language == "ja" else normalise(text, language)


def character_error_rate(reference: str, heard: str, language: str) -> float | None:
    """Edits ÷ characters of ``reference`` (jiwer), in kana for Japanese.

    What is written short and what is written out are one and the same: «1.000» and «mil». None when ``reference``
    has nothing to pronounce.
    """
    import jiwer

    wanted = comparable(reference, language)
    if not wanted:
        return None
    got = comparable(heard, language)
    return float(jiwer.cer(wanted, got)) if got else 1.0
