"""Which language a text is in: py3langid, a naive Bayes classifier of 97 languages in a package of 4.5 MB."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from shared.core import languages
from shared.core.errors import UsageError
from shared.core.text import alphanumerics, clean

MOST_CHARS = 20_000
"""Of a text that are looked at: more does not make it surer."""
FEWEST_LETTERS = 25
"""Fewer letters are too few to say that a text is in a wrong language."""
SURE = 0.9
"""Share of the belief that a language must have before a text is refused for it …"""
UNLIKELY = 0.02
"""… and the most that the language expected may have."""
ALIKE = (
    {"no", "nb", "nn", "da"},
    {"sr", "hr", "bs", "sh"},
    {"ms", "id"},
    {"zh", "yue", "wuu"},
    {"cs", "sk"},
    {"gl", "pt"},
    {"ru", "uk", "be", "bg", "mk"},
)
"""Languages that are taken for one another: a text in one is not refused as another's."""
KIN = {"ext": "es", "an": "es", "ast": "es", "pcm": "en", "sco": "en", "nb": "no", "nn": "no", "wuu": "zh", "lij": "it"}
"""Small neighbours of large languages, whose share of the belief counts for those."""


@lru_cache
def identifier() -> Any:
    from py3langid import langid

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


def beliefs(text: str) -> dict[str, float]:
    """Language (ISO 639) → share of the belief, 0–1, that the text is in it; equal shares where nothing is known."""
    shares: dict[str, float] = {}
    for language, share in identifier().rank(text[:MOST_CHARS]):
        name = KIN.get(language, language)
        shares[name] = shares.get(name, 0.0) + share
    return shares


def other_language(text: str, expected: str) -> str | None:
    """The language that a text is surely in, when it is surely not the one expected."""
    if sum(char.isalpha() for char in text[:MOST_CHARS]) < FEWEST_LETTERS and not other_script(text, expected):
        return None
    shares = beliefs(text)
    best = max(shares, key=lambda language: shares[language])
    alike = any({best, expected} <= group for group in ALIKE)
    if best == expected or alike or shares[best] < SURE or shares.get(expected, 0.0) > UNLIKELY:
        return None
    return best


def other_script(text: str, expected: str) -> bool:
    """Whether a short text says enough by its letters: in scripts of few languages eight letters do."""
    letters = [char for char in text[:MOST_CHARS] if char.isalpha()]
    return len(letters) >= 8 and all(ord(char) > 0x370 for char in letters)


def refuse_other_language(texts: Sequence[str], spoken: str) -> None:
    """Refuse a transcript that is in another language than the film speaks.

    Raises:
        UsageError: ``transcript_language``.
    """
    language = other_language(clean(" ".join(texts)), spoken)
    if language is None:
        return
    names = [languages.name(language), languages.name(spoken)]
    raise UsageError(
        f"The transcript is in {names[0]}, and the film speaks {names[1]}: it is no transcript but a translation. "
        f"Give the {names[1]} text, or none, and the words are recognised. If the film does speak {names[0]}, say "
        f"--set transcription.language={language}.",
        code="transcript_language",
        text=language,
        film=spoken,
    )


def choose_lines(cues: Sequence[Sequence[str]], spoken: str | None) -> tuple[list[int], tuple[str, str]] | None:
    """Which line of each cue to speak, where a transcript says everything twice in two languages.

    Args:
        cues: Lines of each cue.

    Returns:
        The index of the line for each cue (0, or −1 for its last; 0 where it has one line), and the two languages, the
        kept one first. None when the text is in one language.
    """
    pairs = [lines for lines in cues if len(lines) == 2]
    if len(pairs) < 2 or len(pairs) < 0.6 * sum(bool(lines) for lines in cues):
        return None
    upper, lower = (clean(" ".join(lines[which] for lines in pairs)) for which in (0, 1))
    if min(map(alphanumerics, (upper, lower))) < 8:
        return None
    first, second = (beliefs(text) for text in (upper, lower))
    names = [max(shares, key=lambda language: shares[language]) for shares in (first, second)]
    alike = any(set(names) <= group for group in ALIKE)
    if names[0] == names[1] or alike or min(first[names[0]], second[names[1]]) < 0.6:
        return None
    wanted = names.index(spoken) if spoken in names else 0
    kept = 0 if wanted == 0 else -1
    return [kept if len(lines) == 2 else 0 for lines in cues], (names[wanted], names[1 - wanted])
