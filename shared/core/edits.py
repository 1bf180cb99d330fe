"""Lines that people wrote, and which line of a title each belongs to now.

A line is its time and its text, not its number: after another transcript, other settings or another cut of the film an
edit follows its line, or is given up and said so.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shared.core.errors import UsageError
from shared.core.records import Utterance
from shared.core.text import alphanumerics, clean, normalise

ALIKE = 0.75
"""Likeness (difflib's ratio) from which on two texts at about one time are one line, heard a little otherwise."""
SAME_TIME = 0.5
"""Share of the shorter line that the two must have in common for it."""
MOST_CHARS = 2000


class LineAddress(NamedTuple):
    """Which line of a dub is meant. ``title`` is None where there is only one."""

    title: str | None
    language: str
    utterance: str


class LineEdit(NamedTuple):
    """What shall be said instead of a line. ``start`` is None in folders of versions that knew the number only."""

    utterance: str
    text: str
    start: float | None = None
    end: float | None = None
    source: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return self._asdict()


class Resolved(NamedTuple):
    """Line's id → its edit, and the edits that no line is there for."""

    lines: dict[str, LineEdit]
    lost: list[LineEdit]


def wanted_text(text: str) -> str:
    """The text of an edit on one line.

    Raises:
        UsageError: ``empty_text`` or ``long_text``.
    """
    text = clean(text)
    if not alphanumerics(text):
        raise UsageError("The text has no word that could be spoken.", code="empty_text")
    if len(text) > MOST_CHARS:
        raise UsageError(f"The text is longer than {MOST_CHARS:,} characters.", code="long_text")
    return text


def check_line(line: Utterance) -> None:
    """Refuse to edit a line that is not spoken.

    Raises:
        UsageError: ``dropped_line``.
    """
    if line.status == "dropped":
        raise UsageError(
            f"{line.id} is not spoken in any track ({line.reason or 'dropped'}), so another text would not be heard "
            "either. Give a transcript with this line and its time.",
            code="dropped_line",
            reason=line.reason,
        )


def edit_of(line: Utterance, text: str) -> LineEdit:
    return LineEdit(line.id, text, line.start, line.end, line.text)


def read_edits(stored: Mapping[str, Any]) -> list[LineEdit]:
    """Edits as a task's scope holds them, oldest first: ``{name: {utterance, text, …}}``, or ``{id: text}``."""
    return [LineEdit(name, value) if isinstance(value, str) else LineEdit(**value) for name, value in stored.items()]


def stored_edits(edits: Sequence[LineEdit]) -> dict[str, Any]:
    """What :func:`read_edits` reads."""
    return {f"{number:04}": edit.to_dict() for number, edit in enumerate(edits)}


def resolve(edits: Sequence[LineEdit], lines: Sequence[Utterance]) -> Resolved:
    """The line that each edit belongs to; of several for one line the last counts.

    First the line of the same text, nearest in time where there are several; else the line at the same time whose text
    is alike.
    """
    by_line: dict[str, LineEdit] = {}
    lost = []
    texts = {line.id: normalise(line.text) for line in lines}
    for edit in edits:
        line = line_of(edit, lines, texts)
        if line is None:
            lost.append(edit)
        else:
            by_line[line.id] = edit
    return Resolved(by_line, lost)


def line_of(edit: LineEdit, lines: Sequence[Utterance], texts: Mapping[str, str]) -> Utterance | None:
    if edit.start is None or edit.end is None or edit.source is None:
        return next((line for line in lines if line.id == edit.utterance), None)
    start, end, wanted = edit.start, edit.end, normalise(edit.source)
    same = [line for line in lines if texts[line.id] == wanted]
    if same:
        return min(same, key=lambda line: abs(line.start - start))
    near = [line for line in lines if common(line, start, end) >= SAME_TIME * min(line.end - line.start, end - start)]
    likeness = {line.id: difflib.SequenceMatcher(None, texts[line.id], wanted, autojunk=False).ratio() for line in near}
    best = max(near, key=lambda line: likeness[line.id], default=None)
    return best if best is not None and likeness[best.id] >= ALIKE else None


def unspoken(dubbed: Path, wanted: Collection[str]) -> tuple[str, str] | None:
    """Id and reason of the first of these lines that could not be spoken, by a dubbing task's ``dubbed.jsonl``."""
    with dubbed.open(encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            if isinstance(row, dict) and row.get("id") in wanted and row.get("status") == "failed":
                return row["id"], str(row.get("reason"))
    return None


def common(line: Utterance, start: float, end: float) -> float:
    """Seconds that a line and a stretch of time have in common; less than none where they have not."""
    return min(line.end, end) - max(line.start, start)
