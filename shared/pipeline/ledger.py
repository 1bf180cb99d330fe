"""A title's tasks in the ledger: planned, begun, done, failed. Both executors write and read them here.

Always called with the job locked, in the transaction that made the fact known: no crash comes between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from shared.core.errors import CounterdubError
from shared.core.store import Blob
from shared.ledger.database import append_event
from shared.ledger.statements import BOOK, FREE, ONE_LESS, TAKE, note
from shared.ledger.tables import FINAL, Job, Need, StageRun, Title, now
from shared.pipeline.planner import Plan, Ref, Task, TitleRequest, task_language
from shared.pipeline.reconcile import OPEN, LedgerEntry, reconcile
from shared.pipeline.stage import CARD, queue_of
from shared.pipeline.task_runner import Done

UNPLANNED = ("deliver", "dataset")
"""Tasks that the planner does not name."""


@dataclass(frozen=True)
class TaskRow:
    """A task's row, as far as planning asks for it."""

    id: int
    task: str
    state: str
    scope: Mapping[str, Any]
    inputs: Mapping[str, Any]


Rows = dict[str, TaskRow]
"""Task → its row."""


def task_rows(session: Session, job: Job, title: Title) -> Rows:
    """The rows of a title's tasks in a job."""
    columns = StageRun.id, StageRun.task, StageRun.state, StageRun.scope, StageRun.inputs
    of_title = StageRun.title_id == title.id, StageRun.job_id == job.id, StageRun.stage.not_in(UNPLANNED)
    return {row.task: TaskRow(*row) for row in session.execute(select(*columns).where(*of_title))}


class Entered(NamedTuple):
    """What came of a plan.

    Attributes:
        redone: Tasks put back to be done again; none while ``stale``.
        stale: One of them runs: it is waited for, and the title planned again at its end.
        ready: Queue → tasks that became ready.
    """

    redone: tuple[str, ...]
    stale: bool
    ready: Counter[str]


@dataclass(frozen=True)
class PlannedTitle:
    """A title's rows and what its plan asks of them."""

    job: Job
    title: Title
    rows: Rows
    plan: Plan
    cards: Collection[str]
    """Queues whose tasks are for workers with torch or a card."""

    def queue(self, task: Task) -> str:
        queue = queue_of(task.stage)
        return f"{queue}{CARD}" if queue in self.cards else queue


def enter_plan(
    session: Session, job: Job, title: Title, rows: Rows, plan: Plan, cards: Collection[str] = ()
) -> Entered:
    """Bring a title's rows to what its plan asks: what it names no more is skipped, what has changed is done again.

    Args:
        rows: As :func:`task_rows` gives them; kept up.
        cards: Queues whose tasks are for workers with torch or a card.
    """
    planned = PlannedTitle(job, title, rows, plan, cards)
    before = len(rows)
    ledger = {task: LedgerEntry((row.scope, row.inputs), row.state) for task, row in rows.items()}
    changes = reconcile(plan, ledger, stored_task)
    drop_unplanned(session, job, title, rows, changes.dropped)
    title.stale = any(rows[task].state == "running" for task in changes.redone)
    redone = () if title.stale else changes.redone  # What runs is waited for.
    ready = redo_changed(session, planned, redone) + enter_new(session, planned, changes.new)
    title.plan_complete = plan.complete
    if len(rows) != before:
        append_event(session, job, "plan_grew", title=title.name, planned=len(plan.tasks))
    return Entered(redone, title.stale, ready)


def stored_task(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scope and inputs as they stand in a row."""
    inputs = {name: stored_input(value) for name, value in task.inputs.items()}
    return {**asdict(task.scope), "extra": dict(task.scope.extra)}, inputs


def stored_input(value: Ref | Blob | Path) -> dict[str, Any]:
    """An output of another task, a stored file, or a file that the user gave (output folders only)."""
    return {"path": str(value)} if isinstance(value, Path) else asdict(value)


def drop_unplanned(session: Session, job: Job, title: Title, rows: Rows, dropped: Collection[str]) -> None:
    """Skip tasks that the plan no longer names."""
    for part in batches([rows[task].id for task in dropped]):
        session.execute(update(StageRun).where(StageRun.id.in_(part)).values(state="skipped"))
    for task in dropped:
        row = rows[task]
        rows[task] = TaskRow(row.id, task, "skipped", row.scope, row.inputs)
    title.open_runs -= len(dropped)
    job.runs_ended += len(dropped)


def redo_changed(session: Session, planned: PlannedTitle, redone: Collection[str]) -> Counter[str]:
    """Make tasks ready or waiting once more, with what the plan asks of them now. Returns queue → tasks made ready."""
    if not redone:
        return Counter()
    job, title, rows, plan = planned.job, planned.title, planned.rows, planned.plan
    was_final = sum(rows[task].state in FINAL for task in redone)
    title.open_runs += was_final
    job.runs_ended -= was_final
    tasks = {task.id: task for task in plan.tasks}
    for part in batches([rows[task].id for task in redone]):
        session.execute(delete(Need).where(Need.run_id.in_(part)))
    for name in redone:
        rows[name] = TaskRow(rows[name].id, name, "waiting", *stored_task(tasks[name]))
    edges, values = [], []
    ready: Counter[str] = Counter()
    for name in redone:
        row = rows[name]
        waits = sum(need not in rows or rows[need].state != "done" for need in tasks[name].needs)
        edges += [{"run_id": row.id, "needs_id": rows[need].id} for need in tasks[name].needs if need in rows]
        ready[planned.queue(tasks[name])] += waits == 0
        values.append(
            {
                "id": row.id,
                "state": "waiting" if waits else "ready",
                "waiting": waits,
                "scope": row.scope,
                "inputs": row.inputs,
                "attempt": 0,
                "owner": None,
                "outputs": None,
                "error": None,
                "progress": 0.0,
            }
        )
    session.execute(update(StageRun), values)
    if edges:
        session.execute(insert(Need), edges)
    return ready


def enter_new(session: Session, planned: PlannedTitle, new: Sequence[Task]) -> Counter[str]:
    """Rows and edges for tasks that were not there. Returns queue → tasks that are ready."""
    if not new:
        return Counter()
    job, title, rows, plan = planned.job, planned.title, planned.rows, planned.plan
    ready: Counter[str] = Counter()
    values: list[dict[str, Any]] = []
    for task in new:
        scope, inputs = stored_task(task)
        waiting = sum(need not in rows or rows[need].state != "done" for need in task.needs)
        queue = planned.queue(task)
        ready[queue] += waiting == 0
        values.append(
            {
                "job_id": job.id,
                "title_id": title.id,
                "title": title.name,
                "task": task.id,
                "stage": task.stage,
                "queue": queue,
                "language": task_language(task.id),
                "scope": scope,
                "inputs": inputs,
                "state": "waiting" if waiting else "ready",
                "waiting": waiting,
            }
        )
    ids = session.scalars(insert(StageRun).returning(StageRun.id, sort_by_parameter_order=True), values).all()
    for task, value, number in zip(new, values, ids, strict=True):
        rows[task.id] = TaskRow(number, task.id, value["state"], value["scope"], value["inputs"])
    fresh = {task.id for task in new}
    # Older tasks may have waited for one that could not be named before.
    edges = [
        {"run_id": rows[task.id].id, "needs_id": rows[need].id}
        for task in plan.tasks
        for need in task.needs
        if need in rows and (task.id in fresh or need in fresh)
    ]
    if edges:
        session.execute(insert(Need), edges)
    title.open_runs += len(new)
    job.runs += len(new)
    return ready


def task_facts(run: Any) -> dict[str, Any]:
    """What events say of a task."""
    return {
        "title": run.title or None,
        "task": run.task,
        "stage": run.stage,
        "language": run.language,
        "attempt": run.attempt,
    }


def begin_task(session: Session, job_id: str, events: int, run_id: int, owner: str) -> Any | None:
    """Put a ready task into the hands of ``owner``; its row, or None where another one was quicker.

    Args:
        events: Number of the job's latest event.
    """
    run: Any = session.execute(TAKE, {"b_run": run_id, "b_owner": owner, "b_started": now()}).first()
    if run is not None:
        note(session, job_id, events + 1, "task_started", task_facts(run))
    return run


def book_done(session: Session, events: int, run: Any, owner: str, done: Done, computed: bool) -> bool:
    """Book a task's result; False where the task is its owner's no more.

    Args:
        events: Number of the job's latest event.
        run: The task, as :func:`begin_task` or ``HELD`` gives it.
        computed: Whether it was really done: ``done.cached`` is what its users are told.
    """
    booked: Any = session.execute(
        BOOK,
        {
            "b_run": run.run_id,
            "b_owner": owner,
            "b_finished": now(),
            "b_key": done.key,
            "b_cached": done.cached,
            "b_computed": int(computed),
            "b_outputs": {name: asdict(blob) for name, blob in done.outputs.items()},
            "b_seconds": done.seconds,
            "b_engine_seconds": done.engine_seconds,
            "b_counters": dict(done.counters),
            "b_engines": dict(done.engines),
        },
    )
    if not booked.rowcount:
        return False
    spent = {"seconds": round(done.seconds, 3), "engine_seconds": round(done.engine_seconds, 3)}
    facts = {**task_facts(run), "cached": done.cached, **spent}
    note(session, run.job_id, events + 1, "task_done", facts, ended=1)
    return True


def free_waiting(session: Session, run: Any) -> tuple[Counter[str], Any]:
    """Those that waited for a task that is done wait for one less: fan-in is counted here.

    Returns:
        Queue → tasks that became ready; how many tasks of the title are open and whether it is ``stale``.
    """
    freed = session.execute(FREE, {"b_needed": run.run_id})
    ready = Counter(row.queue for row in freed if row.state == "ready")
    return ready, session.execute(ONE_LESS, {"b_title": run.title_id}).first()


def close_task(session: Session, job: Job, run: StageRun, state: str) -> None:
    """Put a running task into the state it stays in."""
    run.state, run.owner, run.finished, run.error = state, None, now(), None if state == "done" else run.error
    run.progress = 1.0 if state == "done" else run.progress
    job.runs_ended += 1
    session.flush()


def book_failed(session: Session, job: Job, title: Title, run: StageRun, error: CounterdubError) -> None:
    """Book a task that has failed for good, and give up its language; without a language, its title."""
    run.error = error.to_dict()
    close_task(session, job, run, "failed")
    append_event(session, job, "task_failed", **task_facts(run), error=run.error, again=False)
    title.open_runs -= 1
    left = update(StageRun).where(
        StageRun.title_id == title.id, StageRun.job_id == job.id, StageRun.state.in_(sorted(OPEN))
    )
    if run.language is None:
        title.error, title.stale = title.error or run.error, False
    else:
        left = left.where(StageRun.language == run.language)
    skipped: Any = session.execute(left.values(state="skipped").execution_options(synchronize_session=False))
    title.open_runs -= skipped.rowcount
    job.runs_ended += skipped.rowcount


@dataclass
class TitleOutcome:
    """What became of a title, as the ledger has it.

    Attributes:
        done: Task → its result.
        failed: Task → why it failed.
    """

    request: TitleRequest
    plan: Plan
    done: dict[str, Done] = field(default_factory=dict)
    failed: dict[str, CounterdubError] = field(default_factory=dict)

    @property
    def lost(self) -> CounterdubError | None:
        """The failure that no language can do without."""
        return next((error for task, error in self.failed.items() if task_language(task) is None), None)


def title_outcome(session: Session, job: Job, title: Title, request: TitleRequest, plan: Plan) -> TitleOutcome:
    """Read what a job has made of a title."""
    outcome = TitleOutcome(request, plan)
    ended = StageRun.title_id == title.id, StageRun.job_id == job.id, StageRun.state.in_(("done", "failed"))
    for row in session.scalars(select(StageRun).where(*ended).order_by(StageRun.id)):
        if row.state == "failed":
            outcome.failed[row.task] = CounterdubError(**error_fields(row.error or {}))
        elif row.outputs is not None and row.stage not in UNPLANNED:
            blobs = {name: Blob(**value) for name, value in row.outputs.items()}
            outcome.done[row.task] = Done(row.key or "", blobs, row.cached, counters=row.counters, engines=row.engines)
    return outcome


def error_fields(error: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the error that was stored."""
    known = {name: error.get(name) for name in ("message", "code", "stage", "retryable")}
    return {**error.get("details", {}), **known}


def timings(session: Session, job: Job, title: Title) -> dict[str, dict[str, float]]:
    """Seconds by stage when a title's results were computed, in this job or an earlier one."""
    wanted = StageRun.stage, StageRun.key, StageRun.cached, StageRun.seconds, StageRun.engine_seconds
    of_title = StageRun.title_id == title.id, StageRun.job_id == job.id, StageRun.state == "done"
    rows = session.execute(select(*wanted).where(*of_title, StageRun.key.is_not(None))).all()
    computed = {row.key: row for row in rows if not row.cached}
    for part in batches([row.key for row in rows if row.cached]):
        earlier = select(*wanted).where(StageRun.key.in_(part), StageRun.cached.is_(False))
        computed |= {row.key: row for row in session.execute(earlier)}
    spent: dict[str, dict[str, float]] = {}
    for row in computed.values():
        total = spent.setdefault(row.stage, {"seconds": 0.0, "engine_seconds": 0.0, "tasks": 0})
        total["seconds"] = round(total["seconds"] + row.seconds, 3)
        total["engine_seconds"] = round(total["engine_seconds"] + row.engine_seconds, 3)
        total["tasks"] += 1
    return spent


def batches(ids: Sequence[Any], size: int = 10_000) -> Iterable[Sequence[Any]]:
    """Databases take only so many parameters."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
