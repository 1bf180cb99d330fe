"""Transcripts given by the user, as people have them: read, cleared of what is not spoken, and held against the title.

What was repaired, chosen or left out on the way is told in notes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from shared.core import languages
from shared.core.errors import UsageError
from shared.core.records import Note
from shared.core.text import alphanumerics, clean
from shared.media.subtitles import Cue, bad_transcript
from shared.transcripts import repeats, text_language
from shared.transcripts.encoding import decode
from shared.transcripts.format_detection import parse, refuse_binary
from shared.transcripts.json_transcripts import in_seconds
from shared.transcripts.marks import tagged

MAX_BYTES = 32 * 2**20
REASONS = {
    "beyond_end": "lie beyond the end",
    "bad_times": "end before they begin, or have no length",
    "no_words": "have no words",
}
"""Why a line cannot be spoken, as a message says it of several."""

Tell = Callable[[Note], None]


class Given(NamedTuple):
    """A cue and, when it cannot be used, why."""

    cue: Cue
    reason: str | None = None


def silent(_note: Note) -> None:
    """For callers that want the lines alone."""


def read_transcript(path: Path, title_seconds: float, language: str | None = None, tell: Tell = silent) -> list[Given]:
    """Cues of a transcript in order of start, checked against the title's length and language.

    Args:
        language: What the film speaks, ISO 639-1; None when nothing is known.
        tell: Is given a note of everything that was repaired, chosen or left out.

    Raises:
        UsageError: ``bad_transcript`` with the line (or the entry of a JSON list), ``transcript_language`` for a text
            in another language.
    """
    checked = checked_cues(read_cues(path, title_seconds, language, tell), title_seconds, language, tell)
    if language is not None:
        text_language.refuse_other_language([given.cue.text for given in checked if not given.reason], language)
    tell_dropped(checked, tell)
    return checked


def read_cues(path: Path, title_seconds: float, language: str | None, tell: Tell) -> list[Cue]:
    """Cues of a file as they stand, times in seconds.

    Raises:
        UsageError: ``bad_transcript``.
    """
    if path.stat().st_size > MAX_BYTES:
        raise bad_transcript(f"the file is larger than {MAX_BYTES // 2**20} MiB", 1)
    data = path.read_bytes()
    refuse_binary(data)
    text, encoding = decode(data, language)
    if encoding != "utf-8":
        tell(Note(kind="transcript_encoding", message=f"The transcript was read as {encoding}."))
    cues, unit = in_seconds(parse(text, language), title_seconds)
    if unit is not None:
        tell(Note(kind="transcript_times", message=f"The transcript's times were taken for {unit}."))
    return cues


def checked_cues(cues: Sequence[Cue], title_seconds: float, language: str | None, tell: Tell) -> list[Given]:
    """Cues in order of start, in one language, each said once, without what is not spoken; with why one cannot be.

    Raises:
        UsageError: ``bad_transcript`` where there are none.
    """
    cues, repeated = repeats.once(cues)
    if repeated:
        message = f"The transcript has rolling captions: {repeated} lines that stood in the cue before are said once."
        tell(Note(kind="transcript_rolling", message=message))
    cues = in_one_language(cues, language, tell)
    if not cues:
        raise bad_transcript("the file has no text", 1)
    checked = [check_cue(cue, title_seconds) for cue in tagged(cues)]
    return sorted(checked, key=lambda given: (given.cue.start, given.cue.end))


def in_one_language(cues: Sequence[Cue], language: str | None, tell: Tell) -> list[Cue]:
    """Cues of a text that says everything twice, in the film's language only."""
    lines = [repeats.lines_of(cue) for cue in cues]
    chosen = text_language.choose_lines(lines, language)
    if chosen is None:
        return list(cues)
    places, (kept, other) = chosen
    names = [languages.name(code) for code in (kept, other)]
    message = f"The transcript is in {names[0]} and {names[1]}, line by line; the {names[0]} lines are spoken."
    tell(Note(kind="transcript_bilingual", message=message))
    return [
        cue._replace(text=texts[place] if texts else "") for cue, texts, place in zip(cues, lines, places, strict=True)
    ]


def check_cue(cue: Cue, title_seconds: float) -> Given:
    """Clamp times to the title; a cue that cannot be spoken is kept with a reason."""
    cue = cue._replace(text=clean(cue.text), speaker=clean(cue.speaker or "") or None)
    if not alphanumerics(cue.text):
        return Given(cue._replace(start=max(cue.start, 0.0), end=max(cue.start, cue.end, 0.0)), "no_words")
    if not cue.end > cue.start or cue.end <= 0:
        return Given(cue._replace(start=max(cue.start, 0.0), end=max(cue.start, cue.end, 0.0)), "bad_times")
    if cue.start >= title_seconds:
        return Given(cue, "beyond_end")
    return Given(cue._replace(start=max(cue.start, 0.0), end=min(cue.end, title_seconds)))


def refuse_unusable(checked: Sequence[Given], title_seconds: float) -> None:
    """Refuse a transcript of which nothing can be spoken.

    Raises:
        UsageError: ``transcript_unusable``.
    """
    if not checked or any(given.reason is None for given in checked):
        return
    counts = Counter(given.reason or "" for given in checked)
    whole = len(counts) == 1
    number = len(checked)
    reasons = ", ".join(
        f"{REASONS[reason]}" if whole else f"{n} {REASONS[reason]}" for reason, n in counts.most_common()
    )
    if counts["beyond_end"]:
        first = min(given.cue.start for given in checked if given.reason == "beyond_end")
        reasons += f", {first:.0f} s of {title_seconds:.0f} s" + (
            ": milliseconds?" if first / 1000 < title_seconds else ""
        )
    lines = f"{'all ' if whole else ''}{number} lines"
    raise UsageError(
        f"No line of the transcript can be used: {lines} {reasons}.",
        code="transcript_unusable",
        lines=number,
        reasons=dict(counts),
    )


def tell_dropped(checked: Sequence[Given], tell: Tell) -> None:
    """One note for each reason that lines were left out for."""
    for reason, count in Counter(given.reason for given in checked if given.reason).items():
        lines = f"{count} of {len(checked)} lines of the transcript {REASONS[reason]}"
        tell(Note(kind=f"transcript_{reason}", message=f"{lines}; they are not spoken."))
