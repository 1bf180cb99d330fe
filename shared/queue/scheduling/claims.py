"""Claims on tasks: a worker takes a ready one by compare-and-set, and books how it ended.

A task is claimed by compare-and-set on its row; only its owner can book its end, once. Duplicated or late messages
find nothing to do.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.orm import Session

from shared.core.errors import CounterdubError
from shared.core.store import Blob, Store, fetched
from shared.ledger.database import Database, append_event, is_away, locked_job
from shared.ledger.statements import HELD, MADE, OLDEST, UNHEARD, UNSPOKEN
from shared.ledger.tables import Job, StageRun, Title, Usage
from shared.pipeline.ledger import begin_task, book_done, book_failed, close_task, free_waiting, task_facts
from shared.pipeline.planner import Task
from shared.pipeline.stage import Scope
from shared.pipeline.task_runner import Done
from shared.queue.scheduling.completion import abandon, end_if_cancelled, job_ended, settle_title, title_ended
from shared.queue.scheduling.disclosure import disclose
from shared.queue.scheduling.plan_sync import sync_plan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claimed:
    """A task in this process's hands."""

    run: int
    job: str
    title: str
    title_id: int | None
    task: Task
    wanted: dict[str, Any]
    """The row's ``inputs``."""
    outputs: dict[str, Any]
    """Task → outputs of those it needed."""
    settings: dict[str, Any]
    attempt: int
    traceparent: str | None

    def inputs(self) -> dict[str, Blob]:
        """The stored files that the task works on.

        Raises:
            CounterdubError: ``missing_output``: a stage did not make what it promised.
        """
        blobs = {}
        for name, value in self.wanted.items():
            outputs = self.outputs.get(value["task"]) or {} if "task" in value else {"": value}
            fields = outputs.get(value.get("output", ""))
            if fields is None:
                message = f"The task {value['task']} has not made {value['output']}."
                raise CounterdubError(message, code="missing_output", stage=self.task.stage)
            blobs[name] = Blob(**fields)
        return blobs


def claim(database: Database, worker: str, queue: str, resume: bool = False) -> Claimed | None:
    """Take the oldest ready task of a queue; None when there is none.

    Args:
        resume: Look first for one that this worker has claimed without hearing of it: the database went away then.
    """
    while True:
        with database.write() as session:
            job: Any = session.execute(UNHEARD, {"b_owner": worker}).first() if resume else None
            run: Any = job
            if job is None:
                job = session.execute(OLDEST, {"b_queue": queue}).first()
                if job is None:
                    return None
                run = begin_task(session, job.job_id, job.events, job.run_id, worker)
                if run is None:
                    continue  # Another worker was quicker.
            try:
                return claimed_from(session, job, run)
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                unreadable = error
        # Left as it is, the next look would find the same task, and nobody any other.
        abandoned(database, job.job_id, run.run_id, unreadable)


def abandoned(database: Database, job_id: str, run_id: int | None, error: Exception) -> None:
    """End a job whose rows or files this process cannot work with: others wait behind it."""
    log.exception("job %s cannot be gone on with", job_id, exc_info=error)
    with database.write() as session:
        if (job := locked_job(session, job_id)) is not None:
            abandon(session, job, unworkable(error), run_id)


def unworkable(error: Exception) -> CounterdubError:
    """What a job is told that ends because of ``error``."""
    if isinstance(error, CounterdubError):
        return error
    message = "What is stored of this job cannot be read by the version of Counterdub that runs here. Submit it anew."
    return CounterdubError(message, code="job_unreadable")


def at_fault(error: Exception) -> bool:
    """Whether an error is about the job that was in hand, and not about the database or the store, which all share."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError)
    return not (isinstance(error, CounterdubError) and (error.retryable or is_away(error)))


def claimed_from(session: Session, job: Any, run: Any) -> Claimed:
    """What a worker has to know of a task that it claimed."""
    return Claimed(
        run=run.run_id,
        job=job.job_id,
        title=run.title,
        title_id=run.title_id,
        task=Task(run.task, run.stage, Scope(**run.scope)),
        wanted=run.inputs,
        outputs=outputs(session, run),
        settings=job.settings,
        attempt=run.attempt,
        traceparent=job.traceparent,
    )


def outputs(session: Session, run: Any) -> dict[str, Any]:
    """What the tasks that it waited for have made."""
    if not any("task" in value for value in run.inputs.values()):
        return {}
    return {row.task: row.outputs for row in session.execute(MADE, {"b_run": run.run_id})}


def owned(session: Session, run_id: int, worker: str) -> tuple[Job, StageRun] | None:
    """Job (locked) and task, if the task is still this worker's."""
    job_id = session.scalar(select(StageRun.job_id).where(StageRun.id == run_id))
    job = locked_job(session, job_id) if job_id else None
    if job is None:
        return None
    run = session.get(StageRun, run_id, populate_existing=True)
    return (job, run) if run is not None and run.state == "running" and run.owner == worker else None


def owned_and_wanted(session: Session, run_id: int, worker: str) -> tuple[Job, StageRun] | None:
    """:func:`owned`, unless the job is being cancelled: then the task ends with it."""
    mine = owned(session, run_id, worker)
    if mine is None or mine[0].state == "running":
        return mine
    close_task(session, *mine, "cancelled")
    end_if_cancelled(session, mine[0])
    return None


def finish(database: Database, store: Store, run_id: int, worker: str, done: Done) -> dict[str, int]:
    """Book a finished task, free what waited for it and let the plan grow. Returns what became ready."""
    with database.write() as session:
        run = session.execute(HELD, {"b_run": run_id, "b_owner": worker}).first()
        if run is None:
            return {}
        disclosed = disclose(session, done, run.key_id)
        if not book_done(session, run.events, run, worker, disclosed, computed=not done.cached):
            return {}  # It was taken away while this one waited for the job.
        if run.job_state != "running":
            end_if_cancelled(session, same_job(session, run.job_id))
            return {}
        return forward(session, run, done.outputs, store)


def same_job(session: Session, job_id: str) -> Job:
    """The job as it stands, which this transaction has locked."""
    job = locked_job(session, job_id)
    assert job is not None
    return job


def forward(session: Session, run: Any, made: Mapping[str, Blob], store: Store) -> dict[str, int]:
    """What a finished task sets going, in the transaction that books it."""
    wakes, left = free_waiting(session, run)
    if left is None:
        return wakes
    plans = left.stale or run.stage in {"fetch", "ingest", "language"}
    plans = plans or (run.stage == "dubbing" and spoken(session, run.title_id))
    if not plans and run.stage != "cast" and left.open_runs:
        return wakes  # As nearly always.
    job, title = same_job(session, run.job_id), session.get_one(Title, run.title_id)
    if run.stage == "fetch":
        title.video = asdict(made["video"])
    if run.stage == "ingest":
        title.seconds = probed_seconds(store, made)
        # Once, however often a title is begun again.
        if session.get(Usage, (job.id, title.name)) is None:
            session.add(Usage(job_id=job.id, title=title.name, key_id=job.key_id, seconds=title.seconds))
    grown = [title] if plans else []
    if run.stage == "cast":
        grown += following(session, job, title)
    wakes += Counter(sync_plan(session, job, grown, store))
    return wakes if plans else wakes + Counter(settle_title(session, job, title))


def probed_seconds(store: Store, made: Mapping[str, Blob]) -> float:
    """Duration of a title by the outputs of its ingest."""
    probe = json.loads(fetched(store, made["probe.json"], "ingest").read_text(encoding="utf-8"))
    return float(probe["duration"])


def spoken(session: Session, title_id: int) -> bool:
    """Whether no dubbing task of a title is left."""
    return session.execute(UNSPOKEN, {"b_title": title_id}).first() is None


def following(session: Session, job: Job, title: Title) -> list[Title]:
    """The next title of the job, if it waits for this one's cast."""
    of_job = Title.job_id == job.id, Title.position == title.position + 1, Title.state == "running"
    return list(session.scalars(select(Title).where(*of_job)))


def fail(
    database: Database, store: Store, run_id: int, worker: str, error: CounterdubError, max_attempts: int
) -> dict[str, int]:
    """Book a failed task: it rests and is tried again, or its language (or title) is given up."""
    job_id = None
    try:
        with database.write() as session:
            mine = owned(session, run_id, worker)
            if mine is None:
                return {}
            job_id = mine[0].id
            return failed(session, mine[0], mine[1], store, error, max_attempts)
    except Exception as wrong:
        if job_id is None or not at_fault(wrong):
            raise
        abandoned(database, job_id, run_id, wrong)
        return {}


def failed(
    session: Session, job: Job, run: StageRun, store: Store, error: CounterdubError, max_attempts: int
) -> dict[str, int]:
    """:func:`fail` within a transaction."""
    run.error = error.to_dict()
    if job.state != "running":
        close_task(session, job, run, "cancelled")
        end_if_cancelled(session, job)
        return {}
    title = session.get(Title, run.title_id) if run.title_id else None
    given_up = title is not None and title.error is not None and run.stage != "deliver"
    if error.retryable and run.attempt < max_attempts and not given_up:
        run.state, run.owner = "resting", None
        append_event(session, job, "task_failed", **task_facts(run), error=error.to_dict(), again=True)
        return {}
    if title is None or run.stage == "deliver":
        close_task(session, job, run, "failed")
        append_event(session, job, "task_failed", **task_facts(run), error=run.error, again=False)
        if title is None:
            job_ended(session, job, "failed", error=run.error)
            return {}
        title.error = title.error or run.error
        ended = Counter(title_ended(session, job, title))
        return ended + Counter(sync_plan(session, job, following(session, job, title), store))
    book_failed(session, job, title, run, error)
    if run.language is None:
        return settle_title(session, job, title)
    # The next title no longer waits for this language's cast.
    return sync_plan(session, job, [title, *following(session, job, title)], store)


def give_up_claim(database: Database, run_id: int, worker: str) -> dict[str, int]:
    """Hand a task back undone, as a worker does that is told to stop; the attempt does not count."""
    with database.write() as session:
        mine = owned(session, run_id, worker)
        if mine is None:
            return {}
        job, run = mine
        run.attempt -= 1
        return requeue(session, job, run, "given back")


def requeue(session: Session, job: Job, run: StageRun, why: str) -> dict[str, int]:
    """A running task becomes ready again, or ends with its job if that is being cancelled."""
    if job.state != "running":
        close_task(session, job, run, "cancelled")
        end_if_cancelled(session, job)
        return {}
    run.state, run.owner = "ready", None
    append_event(session, job, "task_lost", **task_facts(run), why=why)
    return {run.queue: 1}
