"""Language codes: people write ``es``, ``spa``, ``Spanish`` or ``es-ES``; the system says ISO 639-1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.errors import UsageError

if TYPE_CHECKING:
    from langcodes import Language


def tables() -> type[Language]:
    """langcodes: a third of a second to load, which commands that need no language shall not wait for."""
    from langcodes import Language

    return Language


def code(text: str) -> str:
    """ISO 639-1 code of what a person wrote.

    Raises:
        UsageError: ``unknown_language``.
    """
    for look_up in (tables().get, tables().find):
        try:
            language = look_up(text.strip())
        except (LookupError, ValueError):
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
    return tables().get(language).to_alpha3()


def name(language: str) -> str:
    """English name (``es`` → ``Spanish``)."""
    return tables().get(language).display_name("en")


def native_name(language: str) -> str:
    """The language's own name (``es`` → ``español``)."""
    return tables().get(language).autonym()
