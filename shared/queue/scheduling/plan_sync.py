"""Planned tasks into rows: new ones entered, changed ones redone, dropped ones skipped, when a fact changes the plan.

Always called with the job locked, in the transaction that made the fact known: no crash comes between.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from shared.core.edits import LineEdit, stored_edits
from shared.core.store import Blob, Store, fetched
from shared.ledger.database import tell
from shared.ledger.tables import FINAL, Edit, Event, Job, Need, StageRun, Title
from shared.pipeline.planner import Known, Plan, Ref, Task, TitleRequest, plan, task_language
from shared.pipeline.reconcile import LedgerEntry, reconcile
from shared.pipeline.stage import Scope, queue_of
from shared.queue.scheduling.completion import settle_title
from shared.queue.service_settings import FETCH
from shared.settings.models import Settings, stored_settings

Rows = dict[str, Any]
"""Task → its row (id, task, state, scope, inputs)."""

INTERNAL = ("deliver", "dataset")
"""Tasks that the planner does not name."""

UNREAD = "settings_unread"
"""Kind of the event that names settings of the job which this version does not know."""

log = logging.getLogger(__name__)


def sync_plan(session: Session, job: Job, titles: Iterable[Title], store: Store) -> dict[str, int]:
    """Plan titles again and enter what is new. Returns queue → tasks that became ready."""
    wakes: Counter[str] = Counter()
    settings = read_settings(session, job)
    for title in titles:
        if title.error:
            wakes += Counter(settle_title(session, job, title))  # Given up: nothing more is planned.
            continue
        rows = title_rows(session, title)
        planned = planned_tasks(session, job, title, settings, store, rows)
        before = len(rows)
        ledger = {task: LedgerEntry((row.scope, row.inputs), row.state) for task, row in rows.items()}
        changes = reconcile(planned, ledger, spec)
        drop_unplanned(session, job, title, [rows[task].id for task in changes.dropped])
        wakes += redo_changed(session, job, title, rows, planned, changes.redone)
        wakes += enter_new(session, job, title, rows, planned, changes.new)
        title.plan_complete = planned.complete
        if len(rows) != before:
            tell(session, job, "plan_grew", title=title.name, planned=len(planned.tasks))
        wakes += Counter(settle_title(session, job, title))
    return wakes


def read_settings(session: Session, job: Job) -> Settings:
    """The job's settings. What this version cannot read of them is told once; the row keeps it."""
    settings, unread = stored_settings(job.settings)
    if unread:
        told = select(Event.seq).where(Event.job_id == job.id, Event.kind == UNREAD).limit(1)
        if session.scalar(told) is None:
            log.warning("settings of a job that this version does not know", extra={"job": job.id, "keys": unread})
            tell(session, job, UNREAD, keys=list(unread))
    return settings


def title_rows(session: Session, title: Title) -> Rows:
    columns = StageRun.id, StageRun.task, StageRun.state, StageRun.scope, StageRun.inputs
    wanted = select(*columns).where(StageRun.title_id == title.id, StageRun.stage.not_in(INTERNAL))
    return {row.task: row for row in session.execute(wanted)}


def planned_tasks(
    session: Session, job: Job, title: Title, settings: Settings, store: Store, rows: Mapping[str, Any]
) -> Plan:
    """The title's tasks, as the planner sees them now."""
    if title.video is None:
        scope = Scope(extra={"kind": title.source_kind, "locator": title.source, "title": title.id})
        return Plan([Task(FETCH, FETCH, scope)])
    failed = {task for task, row in rows.items() if row.state == "failed"}
    before = previous(session, job, title)
    request = title_request(session, title, before)
    ready = before is None or before.state in FINAL or cast_ready(session, before)
    return plan(request, settings, known(session, title, before, store, rows), failed, ready)


def previous(session: Session, job: Job, title: Title) -> Title | None:
    """The title before it in the job, whose cast it goes on from."""
    return session.scalar(select(Title).where(Title.job_id == job.id, Title.position == title.position - 1))


def title_request(session: Session, title: Title, before: Title | None) -> TitleRequest:
    edits: dict[str, list[LineEdit]] = {}
    for edit in session.scalars(select(Edit).where(Edit.title_id == title.id).order_by(Edit.created, Edit.utterance)):
        edits.setdefault(edit.language, []).append(edit.line)
    assert title.video is not None
    return TitleRequest(
        name=title.name,
        source=Blob(**title.video),
        languages=tuple(title.languages),
        transcript=Blob(**title.transcript) if title.transcript else None,
        edits={language: stored_edits(some) for language, some in edits.items()},
        previous=before.name if before else None,
    )


def known(session: Session, title: Title, before: Title | None, store: Store, rows: Mapping[str, Any]) -> Known:
    """What the planner may know: outputs of done tasks. Sound is not fetched: the planner asks only whether it is."""
    ids = {item.name: item.id for item in (title, before) if item is not None}

    def find(name: str, task: str, output: str) -> Any:
        if name not in ids:
            return None
        if name == title.name and (task not in rows or rows[task].state != "done"):
            return None
        if not output.endswith(".json"):
            return Path(output)
        wanted = select(StageRun.outputs).where(
            StageRun.title_id == ids[name], StageRun.task == task, StageRun.state == "done"
        )
        outputs = session.scalar(wanted)
        if not outputs or output not in outputs:
            return None
        blob = Blob(**outputs[output])
        if name != title.name:
            return blob  # Of the title before, the blob itself becomes an input.
        return fetched(store, blob, task)

    return find


def cast_ready(session: Session, before: Title) -> bool:
    """Whether every language of the title before has its cast, or never will."""
    rows = session.execute(
        select(StageRun.task, StageRun.state, StageRun.language).where(
            StageRun.title_id == before.id,
            (StageRun.stage == "cast") | (StageRun.state == "failed"),
        )
    ).all()
    settled = {row.language for row in rows if row.state == "failed"}
    settled |= {row.task.partition("/")[2] for row in rows if row.state == "done"}
    return set(before.languages) <= settled


def spec(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scope and inputs as they stand in a row."""
    inputs = {
        name: {"task": value.task, "output": value.output} if isinstance(value, Ref) else blob_fields(value)
        for name, value in task.inputs.items()
    }
    return {**asdict(task.scope), "extra": dict(task.scope.extra)}, inputs


def blob_fields(value: Any) -> dict[str, Any]:
    assert isinstance(value, Blob), "files of the services are in the store"
    return asdict(value)


def drop_unplanned(session: Session, job: Job, title: Title, gone: Sequence[int]) -> None:
    """Skip tasks, by the ids of their rows, that the plan no longer names."""
    for part in batches(gone):
        session.execute(update(StageRun).where(StageRun.id.in_(part)).values(state="skipped"))
    title.open_runs -= len(gone)
    job.runs_ended += len(gone)


def redo_changed(
    session: Session, job: Job, title: Title, rows: Rows, planned: Plan, again: Collection[str]
) -> Counter[str]:
    """Make tasks ready or waiting once more, with what the plan asks of them now. Returns queue → tasks made ready."""
    title.stale = any(rows[task].state == "running" for task in again)
    if title.stale or not again:
        return Counter()  # What runs is waited for.
    was_final = sum(rows[task].state in FINAL for task in again)
    title.open_runs += was_final
    job.runs_ended -= was_final
    tasks = {task.id: task for task in planned.tasks}
    specs = {task: spec(tasks[task]) for task in again}
    for part in batches([rows[task].id for task in again]):
        session.execute(delete(Need).where(Need.run_id.in_(part)))
    for name in again:
        row = rows[name]
        rows[name] = Changed(row.id, name, "waiting", *specs[name])
    edges, values = [], []
    wakes: Counter[str] = Counter()
    for name in again:
        waits = sum(need not in rows or rows[need].state != "done" for need in tasks[name].needs)
        edges += [{"run_id": rows[name].id, "needs_id": rows[need].id} for need in tasks[name].needs if need in rows]
        state = "waiting" if waits else "ready"
        wakes[queue_of(tasks[name].stage)] += state == "ready"
        scope, inputs = specs[name]
        values.append(
            {
                "id": rows[name].id,
                "state": state,
                "waiting": waits,
                "scope": scope,
                "inputs": inputs,
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
    return wakes


class Changed:
    """A row as it will be, for those that depend on it."""

    def __init__(self, id: int, task: str, state: str, scope: dict[str, Any], inputs: dict[str, Any]) -> None:
        self.id, self.task, self.state, self.scope, self.inputs = id, task, state, scope, inputs


def enter_new(session: Session, job: Job, title: Title, rows: Rows, planned: Plan, new: Sequence[Task]) -> Counter[str]:
    """Rows and edges for tasks that were not there."""
    if not new:
        return Counter()
    wakes: Counter[str] = Counter()
    values = []
    for task in new:
        scope, inputs = spec(task)
        waiting = sum(need not in rows or rows[need].state != "done" for need in task.needs)
        queue = queue_of(task.stage)
        wakes[queue] += waiting == 0
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
        rows[task.id] = Changed(number, task.id, str(value["state"]), value["scope"], value["inputs"])
    fresh = {task.id for task in new}
    # Older tasks may have waited for one that could not be named before.
    edges = [
        {"run_id": rows[task.id].id, "needs_id": rows[need].id}
        for task in planned.tasks
        for need in task.needs
        if need in rows and (task.id in fresh or need in fresh)
    ]
    if edges:
        session.execute(insert(Need), edges)
    title.open_runs += len(new)
    job.runs += len(new)
    return wakes


def batches(ids: Sequence[Any], size: int = 10_000) -> Iterable[Sequence[Any]]:
    """Databases take only so many parameters."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
