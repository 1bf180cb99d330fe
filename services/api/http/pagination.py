"""Pages of lists: cursors that callers hand back and never read, and the queries that go on behind one."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar, TypeVarTuple

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import Select, and_, or_
from sqlalchemy.orm import InstrumentedAttribute

from services.api.http.problems import Refused
from shared.ledger.tables import Job

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")
KeyT = TypeVar("KeyT", int, str)
Columns = TypeVarTuple("Columns")

Limit = Annotated[int, Query(ge=1, le=500, description="Items on a page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=600, description="`next` of the page before; nothing for the first page."),
]


class Page(BaseModel, Generic[ItemT]):
    """A part of a list. ``next`` is absent on the last page."""

    items: list[ItemT]
    next: str | None = Field(None, description="Pass it as `cursor` to get the next page.")


def encode(*values: str | int) -> str:
    """The cursor that holds these values."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode(cursor: str, *kinds: type) -> list[Any]:
    """What :func:`encode` was given.

    Raises:
        Refused: ``bad_cursor`` (422).
    """
    try:
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise bad_cursor() from error
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        raise bad_cursor()
    if any(isinstance(value, int) and not 0 <= value < 2**31 for value in values):
        raise bad_cursor()
    if any(isinstance(value, str) and not safe(value) for value in values):
        raise bad_cursor()
    return values


def safe(value: str) -> bool:
    """Whether a database can be asked for it."""
    return "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


def bad_cursor() -> Refused:
    return Refused(422, "bad_cursor", "The cursor is not one of ours. Take `next` of the page before, unchanged.")


def utc(time: datetime) -> datetime:
    """The same instant as databases compare it; without a zone it is UTC.

    Raises:
        Refused: ``bad_request`` (422) for one that has no such instant.
    """
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError as error:
        raise Refused(422, "bad_request", "This time is out of range.") from error


def cut(rows: Sequence[RowT], limit: int) -> tuple[Sequence[RowT], bool]:
    """The page of ``limit`` rows, and whether there are more: one more than that was asked for."""
    return rows[:limit], len(rows) > limit


def make_page(
    rows: Sequence[RowT], limit: int, show: Callable[[RowT], ItemT], cursor_of: Callable[[RowT], str]
) -> Page[ItemT]:
    """The page of rows of which one more than ``limit`` was asked for.

    Args:
        show: Row → item.
        cursor_of: Row → cursor that goes on behind it.
    """
    shown, more = cut(rows, limit)
    return Page(items=[show(row) for row in shown], next=cursor_of(shown[-1]) if more else None)


def first_number(cursor: str | None) -> int:
    """Number of a page's first item, in a list whose items are counted.

    Raises:
        Refused: ``bad_cursor`` (422).
    """
    return decode(cursor, int)[0] if cursor is not None else 0


def numbered_page(items: Sequence[ItemT], more: bool, following: int) -> Page[ItemT]:
    """A page of a list whose items are counted; ``following`` is the number of the next page's first."""
    return Page(items=list(items), next=encode(following) if more else None)


def in_order_of(
    query: Select[*Columns], column: InstrumentedAttribute[KeyT], kind: type[KeyT], limit: int, cursor: str | None
) -> Select[*Columns]:
    """A query's page in order of a unique column, behind the cursor's row, and one row more.

    Raises:
        Refused: ``bad_cursor`` (422).
    """
    if cursor is not None:
        query = query.where(column > decode(cursor, kind)[0])
    return query.order_by(column).limit(limit + 1)


def newest_first(query: Select[*Columns], limit: int, cursor: str | None) -> Select[*Columns]:
    """A page of jobs (or trainings), the newest first, behind the cursor's, and one row more.

    Raises:
        Refused: ``bad_cursor`` (422).
    """
    if cursor is not None:
        at, last = decode(cursor, str, str)
        try:
            created = utc(datetime.fromisoformat(at))
        except ValueError as error:
            raise bad_cursor() from error
        query = query.where(or_(Job.created < created, and_(Job.created == created, Job.id < last)))
    return query.order_by(Job.created.desc(), Job.id.desc()).limit(limit + 1)


def job_cursor(job: Job) -> str:
    """Where :func:`newest_first` goes on behind a job."""
    return encode(job.created.isoformat(), job.id)
