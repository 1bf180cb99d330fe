"""``/v1/activity``: one stream of all the caller's jobs; ``/v1/jobs/{id}/tasks``: where one stands, stage by stage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from services.api.auth.keys import Caller, Reader
from services.api.auth.ownership import JOB_ID, JobId, callers_jobs, own_job
from services.api.dependencies import Here, Services
from services.api.http.problems import documented
from services.api.routes.events import KEEP_ALIVE_S, VALID_S, EventStream, still_valid
from services.api.routes.jobs import shown
from services.api.schemas.jobs import ErrorOut
from shared.ledger.tables import Job, StageRun, Worker

TICK_S = 1.0
NEWEST = 50
"""Jobs that the stream tells of: the first page of the list."""
ERRORS = 50
LATEST = 50
"""Tasks of other jobs that say how long those of a stage take."""
OPEN = ("waiting", "ready", "resting", "running")

router = APIRouter(tags=["events"])


class Cell(BaseModel):
    """Tasks of one stage in one language."""

    stage: str
    language: str | None
    states: dict[str, int] = Field(description="State → count.")
    progress: float = Field(description="Sum of the finished shares of running tasks.")
    cached: int = Field(description="Found, not computed.")
    seconds: float = Field(description="Spent on those that were computed.")


class Depth(BaseModel):
    """What waits in a queue of the whole service."""

    ready: int
    running: int
    workers: int


class TaskError(BaseModel):
    title: str
    task: str
    stage: str
    language: str | None
    error: ErrorOut


class TasksOut(BaseModel):
    cells: list[Cell]
    queues: dict[str, Depth]
    seconds_left: float | None = Field(
        description="Of what is planned, from what such tasks took so far; null where nothing is known to go by."
    )
    errors: list[TaskError]


@router.get(
    "/activity",
    operation_id="watch_jobs",
    summary="The caller's newest jobs, as they change: a stream (SSE)",
    response_class=Response,
    responses={
        200: {
            "description": "One event `job` for each of the newest jobs, and again whenever it changed.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **documented(401, 403, 429, 503),
    },
)
async def watch_jobs(
    here: Here,
    caller: Reader,
    job: Annotated[str | None, Query(pattern=JOB_ID, description="Of this one too, however old it is.")] = None,
) -> Response:
    """Each event's data is a job as in the list. There is nothing to replay: who comes back is told all of them."""
    first = await newest(here, caller, job)
    return EventStream(stream(here, caller, first, job), here, caller)


async def stream(here: Services, caller: Caller, jobs: list[Newest], also: str | None) -> AsyncIterator[bytes]:
    yield KEEPALIVE_COMMENT
    seen: dict[str, tuple[Any, ...]] = {}
    silent, checked = 0.0, time.monotonic()
    while not here.broadcast.ended:
        changed = [job for job in jobs if seen.get(job.id) != job.stamp]
        if changed:
            yield b"".join(job.text for job in changed)
        seen = {job.id: job.stamp for job in jobs}
        silent = 0.0 if changed else silent + TICK_S
        if silent >= KEEP_ALIVE_S:
            silent = 0.0
            yield KEEPALIVE_COMMENT
        await asyncio.sleep(TICK_S)
        if time.monotonic() - checked >= VALID_S:
            checked = time.monotonic()
            if not await still_valid(here.broadcast, here.database, caller):
                return
        jobs = await newest(here, caller, also)


class Counted(NamedTuple):
    """Tasks of a job that are alike, as the database counts them."""

    stage: str
    queue: str
    language: str | None
    state: str
    cached: bool
    tasks: int
    progress: float | None
    seconds: float | None
    first: int
    """Number of the one that was planned first."""


class Newest(NamedTuple):
    """A job as the stream tells of it."""

    id: str
    stamp: tuple[Any, ...]
    """Another one when there is something to tell."""
    text: bytes


async def newest(here: Services, caller: Caller, also: str | None) -> list[Newest]:
    """:func:`look`, once a tick for all streams that would see the same."""
    key = ("activity", None if caller.sees_all else caller.key_id, caller.sees_all, also)
    return await here.broadcast.reads.get(key, lambda: look(here, caller, also), lambda _: 0.9 * TICK_S)


def look(here: Services, caller: Caller, also: str | None = None) -> list[Newest]:
    """The newest jobs (and ``also`` this one), oldest first."""
    query = callers_jobs(select(Job).where(Job.kind == "job"), caller)
    with here.database.read() as session:
        jobs = list(session.scalars(query.order_by(Job.created.desc(), Job.id.desc()).limit(NEWEST)))
        if also and also not in {job.id for job in jobs}:
            jobs += session.scalars(query.where(Job.id == also))
        running = [job.id for job in jobs if job.state == "running"]
        shares = select(StageRun.job_id, func.sum(StageRun.progress)).where(
            StageRun.job_id.in_(running), StageRun.state == "running"
        )
        progress = dict(session.execute(shares.group_by(StageRun.job_id)).all()) if running else {}
    newest_first = []
    for job in reversed(jobs):
        stamp = (job.events, job.state, job.runs, job.runs_ended, round(progress.get(job.id) or 0.0, 2))
        text = format_sse_event(data_str=shown(job).model_dump_json(), event="job")
        newest_first.append(Newest(job.id, stamp, text))
    return newest_first


@router.get(
    "/jobs/{job_id}/tasks",
    operation_id="get_tasks",
    summary="Where a job stands: tasks by stage and language",
    responses=documented(401, 403, 404, 503),
)
def get_tasks(here: Here, caller: Reader, job_id: JobId) -> TasksOut:
    """With the depth of the queues and the errors of tasks that failed (the latest 50)."""
    with here.database.read() as session:
        own_job(session, caller, job_id)
        rows = session.execute(
            select(
                StageRun.stage,
                StageRun.queue,
                StageRun.language,
                StageRun.state,
                StageRun.cached,
                func.count(),
                func.sum(StageRun.progress),
                func.sum(StageRun.seconds),
                func.min(StageRun.id),
            )
            .where(StageRun.job_id == job_id)
            .group_by(StageRun.stage, StageRun.queue, StageRun.language, StageRun.state, StageRun.cached)
        )
        counted = [Counted(*row) for row in rows]
        failed = select(StageRun).where(StageRun.job_id == job_id, StageRun.state == "failed")
        errors = [
            TaskError(
                title=run.title,
                task=run.task,
                stage=run.stage,
                language=run.language,
                error=ErrorOut.model_validate(run.error or {"code": "unknown"}),
            )
            for run in session.scalars(failed.order_by(StageRun.id.desc()).limit(ERRORS))
        ]
        queues = depths(session)
        left = seconds_left(session, job_id, counted)
    return TasksOut(cells=cells(counted), queues=queues, seconds_left=left, errors=errors)


def cells(counted: Sequence[Counted]) -> list[Cell]:
    """One for each stage and language, in the order in which they were planned."""
    by_stage: dict[tuple[str, str | None], Cell] = {}
    for row in sorted(counted, key=lambda row: row.first):
        cell = by_stage.setdefault(
            (row.stage, row.language),
            Cell(stage=row.stage, language=row.language, states={}, progress=0.0, cached=0, seconds=0.0),
        )
        cell.states[row.state] = cell.states.get(row.state, 0) + row.tasks
        if row.state == "running":
            cell.progress = round(cell.progress + (row.progress or 0.0), 3)
        if row.state == "done":
            cell.cached += row.tasks if row.cached else 0
            cell.seconds = round(cell.seconds + (0.0 if row.cached else row.seconds or 0.0), 3)
    return list(by_stage.values())


def depths(session: Session) -> dict[str, Depth]:
    query = select(StageRun.queue, StageRun.state, func.count()).where(StageRun.state.in_(("ready", "running")))
    by_queue: dict[str, Depth] = {}
    for queue, state, count in session.execute(query.group_by(StageRun.queue, StageRun.state)):
        depth = by_queue.setdefault(queue, Depth(ready=0, running=0, workers=0))
        setattr(depth, state, count)
    for queues in session.scalars(select(Worker.queues).where(Worker.state == "alive")):
        for queue in queues:
            by_queue.setdefault(queue, Depth(ready=0, running=0, workers=0)).workers += 1
    return by_queue


def seconds_left(session: Session, job_id: str, counted: Sequence[Counted]) -> float | None:
    """What the open tasks will take, by what tasks of their stage took: in this job, or else in any other."""
    open_tasks: dict[str, float] = {}
    for row in counted:
        if row.state in OPEN:
            share = row.progress or 0.0 if row.state == "running" else 0.0
            open_tasks[row.stage] = open_tasks.get(row.stage, 0.0) + row.tasks - share
    running = sum(row.tasks for row in counted if row.state == "running")
    if not open_tasks:
        return 0.0
    done = [row for row in counted if row.state == "done" and not row.cached]
    usual = {}
    for stage in open_tasks:
        count = sum(row.tasks for row in done if row.stage == stage)
        spent = sum(row.seconds or 0.0 for row in done if row.stage == stage)
        latest = (
            select(StageRun.seconds)
            .where(StageRun.stage == stage, StageRun.state == "done", StageRun.cached.is_(False))
            .order_by(StageRun.id.desc())
            .limit(LATEST)
        )
        mean = spent / count if count else session.scalar(select(func.avg(latest.subquery().c.seconds)))
        if mean is not None:
            usual[stage] = float(mean)
    known = [count * usual[stage] for stage, count in open_tasks.items() if stage in usual]
    return round(sum(known) / max(1, running), 1) if known else None
