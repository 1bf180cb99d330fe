"""Cursors: where a page ended, in a form that callers hand back and never read."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from services.api.http.problems import Refused

ItemT = TypeVar("ItemT")

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


def cut(items: list[ItemT], limit: int) -> tuple[list[ItemT], bool]:
    """The page of ``limit`` items, and whether there are more: one more than that was asked for."""
    return items[:limit], len(items) > limit
