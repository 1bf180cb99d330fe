"""ALIGNMENT: what the lines of a title say in one language by a translation that was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.translation.alignment.clocks import Clock
from services.translation.alignment.given_lines import Alignment, GivenLine, align
from shared.core import languages
from shared.core.errors import UsageError
from shared.core.records import (
    SAMPLE_RATE,
    Chunk,
    Note,
    Utterance,
    read_json,
    read_jsonl,
    read_list,
    write_jsonl,
    write_notes,
)
from shared.media.subtitles import Cue
from shared.pipeline.stage import Scope, Stage, Work
from shared.settings.models import Section
from shared.transcripts.embedded import choose_stream
from shared.transcripts.translation import read_translation, translation_of_stream

LISTED = 12
"""Lines named in a note."""
UNDETERMINED = "und"


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: Section, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``translation`` or ``subtitles.json``, and the title's lines, chunks and language → ``given.jsonl``.

    One :class:`GivenLine` for every line that the translation has a text for, in order of the lines. A file that cannot
    be used is an error; a stream of the video that cannot is left out with a note.

    Raises:
        UsageError: ``bad_translation``, ``translation_language``, or ``translation_unmatched`` when no cue of the file
            stands where a line is spoken.
    """
    assert scope.language is not None
    target = scope.language
    lines = [line for line in read_jsonl(inputs["utterances.jsonl"], Utterance) if line.status == "ok"]
    lines.sort(key=lambda line: (line.start, line.end))
    seconds = max(chunk.end for chunk in read_list(inputs["chunks.json"], Chunk)) / SAMPLE_RATE
    source = read_json(inputs["language.json"])["language"] or UNDETERMINED
    notes: list[Note] = []
    if "translation" in inputs:
        cues = read_translation(inputs["translation"], seconds, target, notes.append)
    else:
        cues = embedded_translation(inputs["subtitles.json"], seconds, source, target, notes)
    work.progress(0.2)
    alignment = align(lines, cues, source, target)
    if lines and cues and not alignment.texts:
        error = unmatched(lines, cues, target)
        if "translation" in inputs:
            raise error
        notes.append(Note(kind="subtitles_missing", message=error.message))
    elif cues:
        notes += described(alignment, lines, cues, target)
    work.count("lines_given", len(alignment.texts))
    given = [
        GivenLine(utterance=line.id, text=alignment.texts[line.id]) for line in lines if line.id in alignment.texts
    ]
    work.progress(1.0)
    return {
        "given.jsonl": write_jsonl(work.path("given.jsonl"), given),
        "notes.json": write_notes(work.path("notes.json"), notes),
    }


def embedded_translation(path: Path, seconds: float, source: str, target: str, notes: list[Note]) -> list[Cue]:
    """Cues of the video's own stream in the target language; none where there is none, or it cannot be used."""
    if source == target:
        return []
    chosen = choose_stream(path, target, f"{languages.name(target)} translation")
    notes += chosen.notes
    if chosen.stream is None:
        return []
    try:
        return translation_of_stream(chosen.cues, seconds, target, notes.append)
    except UsageError as error:
        notes.append(Note(kind="subtitles_missing", message=error.message))
        return []


def unmatched(lines: Sequence[Utterance], cues: Sequence[Cue], language: str) -> UsageError:
    name = languages.name(language)
    return UsageError(
        f"No line of the {name} translation stands where somebody speaks: its lines lie between {cues[0].start:.0f} s "
        f"and {cues[-1].end:.0f} s, the film's speech between {lines[0].start:.0f} s and {lines[-1].end:.0f} s. "
        "Is it of this film, and of this cut?",
        code="translation_unmatched",
        lines=len(cues),
    )


def described(alignment: Alignment, lines: Sequence[Utterance], cues: Sequence[Cue], language: str) -> list[Note]:
    """What was taken, put together, divided, left to the engine and left out."""
    name = languages.name(language)
    notes = []
    if not alignment.clock.is_own:
        notes.append(Note(kind="translation_clock", message=clock_message(name, alignment.clock)))
    taken = f"{len(alignment.texts)} of {len(lines)} lines are spoken as the {name} translation says"
    details = [
        f"{len(ids)} {what}"
        for ids, what in (
            (alignment.merged, "put together from several cues"),
            (alignment.parts, "parts of a longer cue"),
        )
        if ids
    ]
    notes.append(Note(kind="translation_given", message=taken + (f" ({', '.join(details)})" if details else "") + "."))
    missing = [line.id for line in lines if line.id not in alignment.texts]
    if missing:
        message = f"The {name} translation has no text for {listed(missing)}; the engine translates them."
        notes.append(Note(kind="translation_by_engine", message=message))
    if alignment.unspoken:
        texts = listed([f"“{cue.text[:60]}” at {alignment.clock.film(cue.start):.1f} s" for cue in alignment.unspoken])
        message = f"{len(alignment.unspoken)} of {len(cues)} lines of the {name} translation stand where no line is "
        notes.append(Note(kind="translation_without_line", message=f"{message}spoken, and are left out: {texts}."))
    return notes


def clock_message(name: str, clock: Clock) -> str:
    stretched = f"stretched by {clock.rate:.4f} (another frame rate) and " if clock.rate != 1 else ""
    return f"The {name} translation's times were {stretched}moved by {clock.delay:+.1f} s to the film's speech."


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


STAGE = Stage("alignment", 1, run, lambda settings: Section(), lambda settings, scope: {}, "translation")
