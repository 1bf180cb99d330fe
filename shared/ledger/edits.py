"""A title's edited lines: entered, read, and taken back where nothing came of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from shared.core.edits import LineEdit, resolve
from shared.core.records import Utterance
from shared.ledger.tables import Edit, Title, new_id


def title_edits(session: Session, title_id: int) -> dict[str, list[LineEdit]]:
    """Language → the edits of one title, oldest first."""
    edits: dict[str, list[LineEdit]] = {}
    wanted = select(Edit).where(Edit.title_id == title_id).order_by(Edit.created, Edit.utterance)
    for edit in session.scalars(wanted):
        edits.setdefault(edit.language, []).append(edit.line)
    return edits


def keep_edit(
    session: Session, title_id: int, language: str, edit: LineEdit, lines: Sequence[Utterance], pending: bool
) -> None:
    """Enter an edit instead of those that its line has had.

    Args:
        lines: The title's lines in the source language.
        pending: Nothing has come of it yet: what was there before is kept with it, for :func:`take_back_edits`.
    """
    replaced = None
    for row in list(session.scalars(select(Edit).where(Edit.title_id == title_id, Edit.language == language))):
        if edit.utterance in resolve([row.line], lines).lines:
            replaced = row.replaced if row.pending else row.line.to_dict()
            session.delete(row)
        elif row.utterance == edit.utterance:
            row.utterance = new_id("")[:16]  # Of another line that had this number.
    session.flush()
    before = replaced if pending else None
    session.add(Edit(title_id=title_id, language=language, **edit.to_dict(), pending=pending, replaced=before))


def take_back_edits(session: Session, title: Title) -> list[Edit]:
    """Forget the edits that nothing came of; those before them are there again. Returns what was taken back."""
    taken = list(session.scalars(select(Edit).where(Edit.title_id == title.id, Edit.pending)))
    for row in taken:
        session.delete(row)
    session.flush()
    for row in taken:
        if row.replaced is not None:
            session.add(Edit(title_id=title.id, language=row.language, **row.replaced))
    session.flush()
    return taken
