"""Who does what: claiming ready tasks, and booking how they ended.

A task is claimed by compare-and-set on its row; only its owner can book its end, once. Duplicated or late messages
find nothing to do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shared.errors import CounterdubError
from shared.jobs.database import Database, locked_job, tell
from shared.jobs.endings import end_if_cancelled, job_ended, settle_title, title_ended
from shared.jobs.growth import grow
from shared.jobs.tables import FINAL, Job, Need, StageRun, Title, now
from shared.pipeline.performing import Done
from shared.pipeline.planner import Task
from shared.pipeline.stage import Scope
from shared.store import Blob, Store


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
        found = {}
        for name, value in self.wanted.items():
            outputs = self.outputs.get(value["task"]) or {} if "task" in value else {"": value}
            fields = outputs.get(value.get("output", ""))
            if fields is None:
                message = f"The task {value['task']} has not made {value['output']}."
                raise CounterdubError(message, code="missing_output", stage=self.task.stage)
            found[name] = Blob(**fields)
        return found


def claim(database: Database, worker: str, queue: str) -> Claimed | None:
    """Take the oldest ready task of a queue; None when there is none."""
    while True:
        with database.write() as session:
            oldest = select(StageRun.id, StageRun.job_id).where(StageRun.queue == queue, StageRun.state == "ready")
            candidate = session.execute(oldest.order_by(StageRun.id).limit(1)).first()
            if candidate is None:
                return None
            job = locked_job(session, candidate.job_id)
            taken: Any = session.execute(
                update(StageRun)
                .where(StageRun.id == candidate.id, StageRun.state == "ready")
                .values(state="running", owner=worker, attempt=StageRun.attempt + 1, started=now(), progress=0.0)
            )
            if job is None or not taken.rowcount:
                continue  # Another worker was quicker.
            run = session.get_one(StageRun, candidate.id)
            tell(session, job, "task_started", **told(run))
            return Claimed(
                run=run.id,
                job=job.id,
                title=run.title,
                title_id=run.title_id,
                task=Task(run.task, run.stage, Scope(**run.scope)),
                wanted=run.inputs,
                outputs=outputs(session, run),
                settings=job.settings,
                attempt=run.attempt,
                traceparent=job.traceparent,
            )


def outputs(session: Session, run: StageRun) -> dict[str, Any]:
    """What the tasks that it waited for have made."""
    if not any("task" in value for value in run.inputs.values()):
        return {}
    needed = select(StageRun.task, StageRun.outputs).join(Need, Need.needs_id == StageRun.id)
    return {row.task: row.outputs for row in session.execute(needed.where(Need.run_id == run.id))}


def told(run: StageRun) -> dict[str, Any]:
    """What events say of a task."""
    return {
        "title": run.title or None,
        "task": run.task,
        "stage": run.stage,
        "language": run.language,
        "attempt": run.attempt,
    }


def owned(session: Session, run_id: int, worker: str) -> tuple[Job, StageRun] | None:
    """Job (locked) and task, if the task is still this worker's."""
    job_id = session.scalar(select(StageRun.job_id).where(StageRun.id == run_id))
    job = locked_job(session, job_id) if job_id else None
    if job is None:
        return None
    run = session.get(StageRun, run_id, populate_existing=True)
    return (job, run) if run is not None and run.state == "running" and run.owner == worker else None


def finish(database: Database, store: Store, run_id: int, worker: str, done: Done) -> dict[str, int]:
    """Book a finished task, free what waited for it and let the plan grow. Returns what became ready."""
    with database.write() as session:
        mine = owned(session, run_id, worker)
        if mine is None:
            return {}
        job, run = mine
        run.key, run.cached = done.key, done.cached
        run.outputs = {name: asdict(blob) for name, blob in done.outputs.items()}
        run.computed += not done.cached
        run.seconds, run.engine_seconds = done.seconds, done.engine_seconds
        run.counters, run.engines = dict(done.counters), dict(done.engines)
        close(session, job, run, "done")
        spent = {"seconds": round(done.seconds, 3), "engine_seconds": round(done.engine_seconds, 3)}
        tell(session, job, "task_done", **told(run), cached=done.cached, **spent)
        if job.state != "running":
            end_if_cancelled(session, job)
            return {}
        return forward(session, job, run, store)


def close(session: Session, job: Job, run: StageRun, state: str) -> None:
    """Put a running task into the state it stays in."""
    run.state, run.owner, run.finished, run.error = state, None, now(), None if state == "done" else run.error
    run.progress = 1.0 if state == "done" else run.progress
    job.runs_ended += 1
    session.flush()


def forward(session: Session, job: Job, run: StageRun, store: Store) -> dict[str, int]:
    """What a finished task sets going: fan-in is counted here, in the transaction that books the task."""
    wakes: Counter[str] = Counter()
    waiting = select(Need.run_id).where(Need.needs_id == run.id).scalar_subquery()
    session.execute(
        update(StageRun)
        .where(StageRun.id.in_(waiting), StageRun.state == "waiting")
        .values(waiting=StageRun.waiting - 1)
        .execution_options(synchronize_session=False)
    )
    freed = session.scalars(
        update(StageRun)
        .where(StageRun.id.in_(waiting), StageRun.state == "waiting", StageRun.waiting <= 0)
        .values(state="ready")
        .returning(StageRun.queue)
        .execution_options(synchronize_session=False)
    )
    wakes += Counter(freed)
    title = session.get(Title, run.title_id) if run.title_id else None
    if title is None:
        return wakes
    title.open_runs -= 1
    if run.stage == "fetch" and run.outputs:
        title.video = run.outputs["video"]
    grown = []
    if title.stale or run.stage in {"fetch", "ingest", "language"} or (run.stage == "dubbing" and spoken(session, run)):
        grown.append(title)
    if run.stage == "cast":
        grown += following(session, job, title)
    wakes += Counter(grow(session, job, grown, store))
    if title not in grown:
        wakes += Counter(settle_title(session, job, title))
    return wakes


def spoken(session: Session, run: StageRun) -> bool:
    """Whether this was the last of its title's dubbing tasks."""
    of_title = StageRun.title_id == run.title_id, StageRun.stage == "dubbing", StageRun.state.not_in(FINAL)
    return not session.scalar(select(func.count()).where(*of_title))


def following(session: Session, job: Job, title: Title) -> list[Title]:
    """The next title of the job, if it waits for this one's cast."""
    of_job = Title.job_id == job.id, Title.position == title.position + 1, Title.state == "running"
    return list(session.scalars(select(Title).where(*of_job)))


def fail(
    database: Database, store: Store, run_id: int, worker: str, error: CounterdubError, max_attempts: int
) -> dict[str, int]:
    """Book a failed task: it rests and is tried again, or its language (or title) is given up."""
    with database.write() as session:
        mine = owned(session, run_id, worker)
        if mine is None:
            return {}
        return failed(session, mine[0], mine[1], store, error, max_attempts)


def failed(
    session: Session, job: Job, run: StageRun, store: Store, error: CounterdubError, max_attempts: int
) -> dict[str, int]:
    """:func:`fail` within a transaction."""
    run.error = error.to_dict()
    if job.state != "running":
        close(session, job, run, "cancelled")
        end_if_cancelled(session, job)
        return {}
    if error.retryable and run.attempt < max_attempts:
        run.state, run.owner = "resting", None
        tell(session, job, "task_failed", **told(run), error=error.to_dict(), again=True)
        return {}
    close(session, job, run, "failed")
    tell(session, job, "task_failed", **told(run), error=error.to_dict(), again=False)
    title = session.get(Title, run.title_id) if run.title_id else None
    if title is None:
        job_ended(session, job, "failed", error=run.error)
        return {}
    if run.stage == "deliver":
        title.error = title.error or run.error
        ended = Counter(title_ended(session, job, title))
        return ended + Counter(grow(session, job, following(session, job, title), store))
    title.open_runs -= 1
    open_runs = StageRun.title_id == title.id, StageRun.state.in_(("waiting", "ready", "resting"))
    left = update(StageRun).where(*open_runs)
    if run.language is None:
        title.error = run.error
    else:
        left = left.where(StageRun.language == run.language)
    skipped: Any = session.execute(left.values(state="skipped").execution_options(synchronize_session=False))
    title.open_runs -= skipped.rowcount
    job.runs_ended += skipped.rowcount
    if run.language is None:
        wakes = Counter(settle_title(session, job, title))
    else:
        wakes = Counter(grow(session, job, [title], store))
        if run.stage == "cast":
            wakes += Counter(grow(session, job, following(session, job, title), store))
    return wakes


def give_back(database: Database, run_id: int, worker: str) -> dict[str, int]:
    """Hand a task back undone, as a worker does that is told to stop; the attempt does not count."""
    with database.write() as session:
        mine = owned(session, run_id, worker)
        if mine is None:
            return {}
        job, run = mine
        run.attempt -= 1
        return put_back(session, job, run, "given back")


def put_back(session: Session, job: Job, run: StageRun, why: str) -> dict[str, int]:
    """A running task becomes ready again, or ends with its job if that is being cancelled."""
    if job.state != "running":
        close(session, job, run, "cancelled")
        end_if_cancelled(session, job)
        return {}
    run.state, run.owner = "ready", None
    tell(session, job, "task_lost", **told(run), why=why)
    return {run.queue: 1}
