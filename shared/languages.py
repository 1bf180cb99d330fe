"""Language codes: people write ``es``, ``spa``, ``Spanish`` or ``es-ES``; the system says ISO 639-1."""

from __future__ import annotations

import langcodes
from langcodes.tag_parser import LanguageTagError

from shared.errors import UsageError


def code(text: str) -> str:
    """ISO 639-1 code of what a person wrote.

    Raises:
        UsageError: ``unknown_language``.
    """
    for look_up in (langcodes.get, langcodes.find):
        try:
            language = look_up(text.strip())
        except (LookupError, LanguageTagError):
            continue
        if language.is_valid() and language.language and len(language.language) == 2:
            return language.language
    raise unknown(text)


def unknown(text: str) -> UsageError:
    return UsageError(
        f"“{text}” is not a language this system knows. Give an ISO 639-1 code such as es, fr, ja.",
        code="unknown_language",
        language=text,
    )


def alpha3(language: str) -> str:
    """ISO 639-2/B-or-T code for container tags (``es`` → ``spa``)."""
    return langcodes.get(language).to_alpha3()


def name(language: str) -> str:
    """English name (``es`` → ``Spanish``)."""
    return langcodes.get(language).display_name("en")


def native_name(language: str) -> str:
    """The language's own name (``es`` → ``español``)."""
    return langcodes.get(language).autonym()
