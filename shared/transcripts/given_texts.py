"""Texts that people give with a video: what is said, in its own language and in others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from shared.core import languages
from shared.core.errors import UsageError

EMBEDDED = "embedded"
"""Subtitles that stand for transcript and translations: the streams of the video itself."""
SUBTITLE_CHOICES = (EMBEDDED, "none")
"""Whether the video's own streams stand for what is not given; none takes back what an earlier run was told."""

FileT = TypeVar("FileT")


class GivenTexts(NamedTuple):
    """Files with the text of a video, and whether its own subtitle streams are to be used."""

    transcript: Path | None = None
    translations: Mapping[str, Path] = {}
    """Language → file."""
    subtitles: str | None = None
    """One of :data:`SUBTITLE_CHOICES`; None leaves it as it was."""


def parse_translations(options: Iterable[str]) -> dict[str, Path]:
    """``es=film.es.srt`` → language as it was written and file.

    Raises:
        UsageError: ``bad_translation`` for one without a language, or two of one language.
    """
    files: dict[str, Path] = {}
    for option in options:
        language, mark, file = option.partition("=")
        if not mark or not language.strip() or not file.strip():
            raise UsageError(f"“{option}” is no translation: give LANGUAGE=FILE.", code="bad_translation")
        if language.strip() in files:
            raise UsageError(f"Two translations are given for “{language.strip()}”.", code="bad_translation")
        files[language.strip()] = Path(file.strip())
    return files


def asked_translations(given: Mapping[str, FileT], wanted: Sequence[str]) -> dict[str, FileT]:
    """Translations by ISO 639-1 code, all of languages that are asked for.

    Raises:
        UsageError: ``unknown_language``, ``translation_not_asked``, ``bad_translation`` for two of one language.
    """
    by_code: dict[str, FileT] = {}
    for name, file in given.items():
        language = languages.code(name)
        if language in by_code:
            raise UsageError(f"Two translations are given for “{language}”.", code="bad_translation")
        if language not in wanted:
            raise UsageError(
                f"A translation is given for {languages.name(language)}, and no dub is asked in it: add --lang "
                f"{language}.",
                code="translation_not_asked",
                language=language,
            )
        by_code[language] = file
    return by_code


def unknown_subtitles(choice: str) -> UsageError:
    known = ", ".join(SUBTITLE_CHOICES)
    return UsageError(f"There are no subtitles “{choice}” (known: {known}).", code="unknown_subtitles")
