"""The same Idempotency-Key, the same answer: a request that is sent again does not make a second job."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.responses import JSONResponse, Response

from services.api.http.problems import Refused
from shared.core.errors import StorageError
from shared.core.store import digest
from shared.ledger.database import Database
from shared.ledger.tables import Idempotency, now
from shared.observability import tracing

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
ABANDONED = timedelta(seconds=60)
"""What is between beginning and end of a request is short (its files are here already): a process that needs longer
was killed."""
KEPT = timedelta(hours=24)

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Any unique text. A second request with the same key and content gets the first one's answer.",
    ),
]


@dataclass(frozen=True)
class CreateRequest:
    """A request to create something, and what it is known again by.

    Attributes:
        path: Where it was sent, such as ``/v1/jobs``; what it creates gets an address below.
        owner: Id of the caller's API key.
        key: Its Idempotency-Key.
        content: JSON value of all that makes the request what it is.
        trace: Its header ``traceparent`` (W3C). What is none is left out.
    """

    path: str
    owner: str | None
    key: str | None
    content: Any
    trace: str = ""


@dataclass
class Answer:
    """The answer to a request: found, or to be given. A location without a status is what a killed process had made."""

    status: int | None = None
    location: str | None = None
    body: dict[str, Any] | None = None
    owner: str = ""
    key: str | None = None
    since: datetime | None = None
    """When the key was entered: by this request, or by one that it is taken for."""

    def enter(self, session: Session, location: str) -> None:
        """Keep what the request makes in the transaction that makes it: sent again, it is not made again."""
        mine = Idempotency.owner == self.owner, Idempotency.key == self.key
        session.execute(update(Idempotency).where(*mine).values(location=location))


@contextmanager
def once(database: Database, owner: str | None, key: str | None, request: Any) -> Iterator[Answer]:
    """Answer a request once for its key: an answer that has a status is to be repeated, any other to be filled in.

    Args:
        owner: Id of the caller's API key.
        request: JSON value of all that makes the request what it is.

    Raises:
        Refused: ``idempotency_mismatch`` (422), ``idempotency_busy`` (409).
    """
    if key is None:
        yield Answer()
        return
    answer = begin(database, owner or "", key, digest(request))
    if answer.status is not None:
        yield answer
        return
    try:
        yield answer
    except BaseException:
        # An error is no answer to be kept: the request may be corrected, or fare better later. But what was made stays
        # known, also where nobody heard whether it was written.
        with suppress(StorageError), database.write() as session:
            mine = Idempotency.owner == (owner or ""), Idempotency.key == key, Idempotency.created == answer.since
            session.execute(delete(Idempotency).where(*mine, Idempotency.location.is_(None)))
        raise
    with database.write() as session:
        row = session.get(Idempotency, (owner or "", key))
        if row is not None:
            row.status, row.location, row.response = answer.status, answer.location, answer.body


def create_once(
    database: Database,
    request: CreateRequest,
    create: Callable[[Callable[[Session, str], None], str | None], str],
    show: Callable[[str], BaseModel],
    status: int,
) -> Response:
    """Create what a request asks for, or repeat the answer that its Idempotency-Key was given before.

    Args:
        create: Creates it and returns its id. It is given what has to be called with the session and the id in the
            transaction that creates it, and the ``traceparent`` that its spans go on with.
        show: Id → what is answered.
        status: Of the answer.

    Raises:
        Refused: ``idempotency_mismatch`` (422), ``idempotency_busy`` (409).
    """
    trace = request.trace if TRACEPARENT.fullmatch(request.trace) else ""
    with (
        tracing.span(f"POST {request.path}", trace or None),
        once(database, request.owner, request.key, request.content) as answer,
    ):
        if answer.location is None:
            created = create(
                lambda session, new_id: answer.enter(session, f"{request.path}/{new_id}"),
                tracing.traceparent() or trace or None,
            )
            answer.location = f"{request.path}/{created}"
        if answer.status is None:
            answer.status = status
            answer.body = show(answer.location.rpartition("/")[2]).model_dump(mode="json")
    return JSONResponse(answer.body, answer.status, {"Location": answer.location or ""})


def begin(database: Database, owner: str, key: str, request_hash: str) -> Answer:
    """Enter the key, or find the answer that was given to it."""
    try:
        with database.write() as session:
            row = session.get(Idempotency, (owner, key), with_for_update=True)
            if row is not None and row.location and not row.status and row.request_hash == request_hash:
                # Made, and never answered.
                return Answer(location=row.location, owner=owner, key=key, since=row.created)
            if row is None or now() - row.created > (KEPT if row.status else ABANDONED):
                if row is not None:
                    session.delete(row)
                    session.flush()
                session.add(Idempotency(owner=owner, key=key, request_hash=request_hash, created=(since := now())))
                return Answer(owner=owner, key=key, since=since)
    except IntegrityError as error:
        raise busy() from error
    if row.request_hash != request_hash:
        raise Refused(
            422, "idempotency_mismatch", "This Idempotency-Key was used for another request. Choose a new one."
        )
    if row.status is None:
        raise busy()
    return Answer(row.status, row.location, row.response)


def known(session: Session, owner: str | None, key: str | None) -> bool:
    """Whether a request with this key has made something: then quotas are no matter, it only wants its answer."""
    if key is None:
        return False
    row = session.get(Idempotency, (owner or "", key))
    return row is not None and row.location is not None


def busy() -> Refused:
    return Refused(
        409,
        "idempotency_busy",
        "The first request with this Idempotency-Key is still being answered. Ask again soon.",
        headers={"Retry-After": "1"},
        retryable=True,
    )


def forget_old(database: Database) -> None:
    """Drop answers that nobody will ask for again."""
    with database.write() as session:
        session.execute(delete(Idempotency).where(Idempotency.created < now() - KEPT))
