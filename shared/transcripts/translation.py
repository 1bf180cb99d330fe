"""Translations given by the user: read as transcripts are, in the language that they are given for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.core import languages
from shared.core.errors import UsageError
from shared.core.records import Note
from shared.core.text import clean
from shared.media.subtitles import Cue
from shared.transcripts.text_language import other_language
from shared.transcripts.transcript import Given, Tell, checked_cues, read_cues, tell_dropped

BEYOND_SECONDS = 900.0
"""Cues may lie that far beyond the title's end: their clock may be another one."""
MOST_CUES = 30_000
"""Of a translation; twelve films have as many."""


def read_translation(path: Path, title_seconds: float, language: str, tell: Tell) -> list[Cue]:
    """Cues of a given translation that can be spoken, in order of start.

    Args:
        language: What it is given for, ISO 639-1.
        tell: Is given a note of everything that was repaired, chosen or left out.

    Raises:
        UsageError: ``bad_translation`` with the line, ``translation_language`` for a text in another language.
    """
    name = f"The {languages.name(language)} translation"

    def retell(note: Note) -> None:
        tell(Note(kind=renamed(note.kind), message=named(note.message, name)))

    try:
        checked = checked_cues(read_cues(path, title_seconds, language, retell), reach(title_seconds), language, retell)
    except UsageError as error:
        raise UsageError(named(error.message, name), code=renamed(error.code), **error.details) from error
    return usable(checked, language, retell)


def translation_of_stream(cues: Sequence[Cue], title_seconds: float, language: str, tell: Tell) -> list[Cue]:
    """:func:`read_translation` of the cues of a subtitle stream."""
    name = f"The {languages.name(language)} translation"

    def retell(note: Note) -> None:
        tell(Note(kind=renamed(note.kind), message=named(note.message, name)))

    return usable(checked_cues(cues, title_seconds, language, retell), language, retell)


def usable(checked: Sequence[Given], language: str, tell: Tell) -> list[Cue]:
    """The cues that can be spoken.

    Raises:
        UsageError: ``bad_translation``, ``translation_language``.
    """
    name = languages.name(language)
    cues = [given.cue for given in checked if given.reason is None]
    if not cues:
        raise UsageError(f"No line of the {name} translation can be spoken.", code="bad_translation")
    if len(cues) > MOST_CUES:
        raise UsageError(
            f"The {name} translation has {len(cues):,} lines; {MOST_CUES:,} are read.", code="bad_translation"
        )
    other = other_language(clean(" ".join(cue.text for cue in cues)), language)
    if other is not None:
        raise UsageError(
            f"What was given as the {name} translation is in {languages.name(other)}: give the {name} text, or say "
            f"--translation {other}=FILE.",
            code="translation_language",
            text=other,
            language=language,
        )
    tell_dropped(checked, tell)
    return cues


def reach(title_seconds: float) -> float:
    """The latest time that a cue of a title may have."""
    return title_seconds + BEYOND_SECONDS


def renamed(name: str) -> str:
    """A code or kind of transcripts as it is called for translations."""
    return name.replace("transcript", "translation")


def named(message: str, name: str) -> str:
    """A message about a transcript, about the translation of that name."""
    return message.replace("The transcript", name).replace("the transcript", name[0].lower() + name[1:])
