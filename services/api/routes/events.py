"""``GET /v1/jobs/{id}/events``: what happens in a job, as it happens and from the beginning."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from services.api.auth.keys import ANYBODY, Caller, Reader, is_valid
from services.api.auth.ownership import JobId, own_job
from services.api.dependencies import Here, Services
from services.api.http.pagination import Limit
from services.api.http.problems import Refused, documented
from services.api.live import broadcast
from services.api.live.broadcast import Broadcast, Stretch
from services.api.schemas.jobs import EventPage
from shared.ledger.database import Database
from shared.ledger.tables import FINAL, Event, Job

KEEP_ALIVE_S = 15.0
VALID_S = 15.0
"""Between two looks at whether the key of an open stream was revoked."""

router = APIRouter(tags=["events"])

Number = Annotated[int | None, Query(ge=0, lt=2**31, description="Only events with a higher number.")]


Format = Annotated[Literal["sse", "json"] | None, Query(description="Instead of Accept.")]

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events until the last one, or a page.",
        "content": {
            "text/event-stream": {
                "schema": {"description": "`id` (the number), `event` (the kind) and `data` (JSON)."}
            },
            "application/json": {"schema": {"$ref": "#/components/schemas/EventPage"}},
        },
    },
    204: {"description": "It has ended and there is nothing newer: do not come back."},
}


class EventStream(EventSourceResponse):
    """A stream that takes one of its caller's places for as long as it is open."""

    def __init__(self, content: AsyncIterator[bytes], here: Services, caller: Caller) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._here, self._caller = here, caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._here.broadcast.place(self._caller.key_id, self._here.settings.max_streams):
            await super().__call__(scope, receive, send)


async def still_valid(hub: Broadcast, database: Database, caller: Caller) -> bool:
    """Whether the key of an open stream was not revoked, asked once for all streams of the key."""
    return await hub.reads.get(("key", caller.key_id), lambda: is_valid(database, caller), lambda _: VALID_S)


@router.get(
    "/jobs/{job_id}/events",
    operation_id="list_events",
    summary="Events of a job: a stream (SSE), or a page of JSON",
    response_class=Response,
    responses={**ANSWERS, **documented(401, 403, 404, 422, 429, 503)},
)
async def list_events(
    request: Request,
    here: Here,
    job_id: JobId,
    caller: Reader,
    after: Number = None,
    format: Format = None,
    limit: Limit = 100,
    last_event_id: Annotated[str | None, Header(description="Where an interrupted stream goes on.")] = None,
) -> Response:
    """Events are numbered from 1 without a gap. A stream goes on behind `Last-Event-ID` (or `after`)."""
    return await answer(
        request, here, caller, lambda session: own_job(session, caller, job_id), after, format, limit, last_event_id
    )


async def answer(
    request: Request,
    here: Services,
    caller: Caller,
    own: Callable[[Session], Job],
    after: int | None,
    format: str | None,
    limit: int,
    last_event_id: str | None,
) -> Response:
    """A stream or a page of a job's (or training's) events.

    Args:
        own: Gives it, if it is the caller's; raises otherwise.
    """
    reached = after or 0
    if last_event_id:
        if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 10):
            raise Refused(422, "bad_request", "Last-Event-ID must be the number of an event.")
        reached = int(last_event_id)
    if format == "json" or (format is None and "application/json" in request.headers.get("accept", "")):
        return await run_in_threadpool(json_page, here, own, reached, limit)
    job_id = await run_in_threadpool(something_to_come, here, own, reached)
    if job_id is None:
        return Response(status_code=204)
    return EventStream(stream(here.database, here.broadcast, job_id, reached, caller), here, caller)


def something_to_come(here: Services, own: Callable[[Session], Job], after: int) -> str | None:
    """The job's id, unless it has ended and its last event is known."""
    with here.database.read() as session:
        job = own(session)
        return None if job.state in FINAL and after >= job.events else job.id


def json_page(here: Services, own: Callable[[Session], Job], after: int, limit: int) -> Response:
    with here.database.read() as session:
        query = (
            select(Event).where(Event.job_id == own(session).id, Event.seq > after).order_by(Event.seq).limit(limit + 1)
        )
        events: list[dict[str, Any]] = [broadcast.public(event) for event in session.scalars(query)]
    more = len(events) > limit
    page = EventPage.model_validate({"items": events[:limit], "after": events[limit - 1]["seq"] if more else None})
    return JSONResponse(page.model_dump(mode="json"))


async def stream(
    database: Database, hub: Broadcast, job_id: str, after: int, caller: Caller = ANYBODY
) -> AsyncIterator[bytes]:
    """Everything after a number, first from the database, then as it is told, until the job's last event.

    Ends soon after the caller's key was revoked.
    """
    # The first bytes tell the client that it is heard, however long the job is silent.
    yield KEEPALIVE_COMMENT
    async for stretch in stored(hub, job_id, after):
        after = stretch.seq
        yield stretch.text
        if stretch.ends:
            return
    checked = time.monotonic()
    with hub.listening(job_id, after) as listener:
        while not listener.gone:
            if time.monotonic() - checked >= VALID_S:
                checked = time.monotonic()
                if not await still_valid(hub, database, caller):
                    return
            if listener.missed(after):
                async for stretch in stored(hub, job_id, after):
                    after = stretch.seq
                    yield stretch.text
                    if stretch.ends:
                        return
            elif event := listener.take(after):
                after = event.seq
                yield event.text
                if event.ends:
                    return
            elif not await listener.wait(KEEP_ALIVE_S):
                yield KEEPALIVE_COMMENT


async def stored(hub: Broadcast, job_id: str, after: int) -> AsyncIterator[Stretch]:
    """Events after a number from the database, as many as there are, page by page."""
    full = True
    while full:
        stretch = await hub.page(job_id, after)
        after, full = stretch.seq, stretch.full
        if stretch.text:
            yield stretch
