"""One run's part of an output folder's ledger: its job, the tasks of its titles, its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from shared.core.errors import CounterdubError
from shared.ledger.database import Database, append_event, locked_job
from shared.ledger.tables import Job, StageRun, Title, now
from shared.pipeline.ledger import (
    Entered,
    Rows,
    TitleOutcome,
    begin_task,
    book_done,
    book_failed,
    close_task,
    enter_plan,
    free_waiting,
    task_facts,
    timings,
    title_outcome,
)
from shared.pipeline.planner import Plan, Task, TitleRequest, task_language
from shared.pipeline.reconcile import OPEN
from shared.pipeline.task_runner import Done


class RunLedger:
    """Written by the thread that drives the run, one transaction for each thing that happens.

    Nobody else writes while the folder is locked, so rows of tasks and the number of events are kept in memory as well.

    Args:
        job: Id of the run's job, which is there.
        titles: Name → id of the titles that are run.
    """

    def __init__(self, database: Database, job: str, titles: Mapping[str, int]) -> None:
        self.cached = self.computed = 0
        """Tasks whose result was found, and that were done."""
        self.engine_seconds = 0.0
        self._database, self._job, self._titles = database, job, titles
        self._rows: dict[str, Rows] = {name: {} for name in titles}
        self._begun: dict[tuple[str, str], Any] = {}
        """Title and task → its row when it was begun."""
        self._events = 0

    def begin_title(self, name: str) -> None:
        """A title is about to be planned: what earlier runs counted of it counts no more."""
        with self._database.write() as session:
            title = session.get_one(Title, self._titles[name])
            title.open_runs, title.plan_complete, title.stale = 0, False, False

    def enter_plan(self, name: str, plan: Plan) -> Entered:
        """See :func:`shared.pipeline.ledger.enter_plan`."""
        with self._job_locked() as (session, job):
            return enter_plan(session, job, session.get_one(Title, self._titles[name]), self._rows[name], plan)

    def begin_task(self, name: str, task: Task) -> bool:
        """A task is begun; False where it has been given up."""
        if self._rows[name][task.id].state not in OPEN:
            return False
        with self._database.write() as session:
            run = begin_task(session, self._job, self._events, self._rows[name][task.id].id, self._job)
            assert run is not None, f"{task.id} of {name} is not ready in the ledger"
        self._events += 1
        self._begun[name, task.id] = run
        self._set(name, task.id, "running")
        return True

    def finish_task(self, name: str, task: Task, done: Done) -> None:
        run = self._begun.pop((name, task.id))
        with self._database.write() as session:
            booked = book_done(session, self._events, run, self._job, done, computed=not done.cached)
            assert booked, f"{task.id} of {name} is not running in the ledger"
            free_waiting(session, run)
        self._events += 1
        self._set(name, task.id, "done")
        self.cached += done.cached
        self.computed += not done.cached
        self.engine_seconds += done.engine_seconds

    def fail_task(self, name: str, task: Task, error: CounterdubError) -> None:
        """A task has failed for good; its language, or without one its title, is given up."""
        with self._job_locked() as (session, job):
            title = session.get_one(Title, self._titles[name])
            before = title.error
            title.error = None  # Of an earlier run.
            book_failed(session, job, title, session.get_one(StageRun, self._rows[name][task.id].id), error)
            title.error = before  # What people are told of a title changes when all is laid out.
        del self._begun[name, task.id]
        self._set(name, task.id, "failed")
        language = task_language(task.id)
        for other, row in self._rows[name].items():
            if row.state in OPEN and language in (None, task_language(other)):
                self._set(name, other, "skipped")

    def stop_task(self, name: str, task: Task, error: CounterdubError) -> None:
        """A task ended because the run cannot go on."""
        with self._job_locked() as (session, job):
            run = session.get_one(StageRun, self._rows[name][task.id].id)
            run.error = error.to_dict()
            close_task(session, job, run, "cancelled")
            append_event(session, job, "task_failed", **task_facts(run), error=run.error, again=False)
        del self._begun[name, task.id]
        self._set(name, task.id, "cancelled")

    def end_title(self, name: str, error: Mapping[str, Any] | None) -> None:
        with self._job_locked() as (session, job):
            job.titles_ended += 1
            job.titles_failed += error is not None
            append_event(session, job, f"title_{'failed' if error else 'done'}", title=name, error=error)

    def end_run(self, state: str) -> None:
        """The run has ended: ``done``, ``failed`` or ``cancelled``; of what was not done nothing is waited for."""
        with self._job_locked() as (session, job):
            left = StageRun.job_id == job.id, StageRun.state.in_([*sorted(OPEN), "running"])
            session.execute(update(StageRun).where(*left).values(state="cancelled", owner=None))
            job.state, job.finished = state, now()
            append_event(session, job, f"job_{state}")

    def outcome(self, request: TitleRequest, plan: Plan) -> TitleOutcome:
        """What became of a title."""
        with self._database.read() as session:
            job, title = session.get_one(Job, self._job), session.get_one(Title, self._titles[request.name])
            return title_outcome(session, job, title, request, plan)

    def timings(self, name: str) -> dict[str, dict[str, float]]:
        """See :func:`shared.pipeline.ledger.timings`."""
        with self._database.read() as session:
            return timings(session, session.get_one(Job, self._job), session.get_one(Title, self._titles[name]))

    @contextmanager
    def _job_locked(self) -> Iterator[tuple[Session, Job]]:
        with self._database.write() as session:
            job = locked_job(session, self._job)
            assert job is not None
            yield session, job
            self._events = job.events

    def _set(self, name: str, task: str, state: str) -> None:
        self._rows[name][task] = replace(self._rows[name][task], state=state)
