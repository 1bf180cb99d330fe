"""Watchdog: finds lost workers and requeues their tasks, wakes tasks that are to be retried, resends lost wake-ups.

Nothing here compares wall clocks. A worker's ``beat`` is a number that has to move; whoever watches remembers when it
last saw it move, by its own monotonic clock.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping

from sqlalchemy import ColumnElement, func, select, update

from shared.core.errors import CounterdubError
from shared.core.store import Store
from shared.ledger.database import Database, is_away, locked_job
from shared.ledger.tables import StageRun, Worker
from shared.queue.scheduling.claims import abandoned, at_fault, failed, requeue
from shared.queue.service_settings import ServiceSettings

log = logging.getLogger(__name__)

LOST_AFTER = 1.6
"""Heartbeats without a beat after which a worker is taken for dead."""
COUNTS_AT_MOST = 0.25
"""Heartbeats of silence that one look adds, however long after the one before: the database may have been away, and
nobody could write a beat; or the machine had no time for the watch, and perhaps none for others.
"""


class Watchdog:
    """One watcher's memory; any number may watch at a time, since every change is a compare-and-set."""

    def __init__(self, database: Database, store: Store, settings: ServiceSettings, queues: tuple[str, ...]) -> None:
        self._database = database
        self._store = store
        self._settings = settings
        self._queues = queues
        self._beats: dict[str, tuple[int, float]] = {}
        self._looked = time.monotonic()
        self._resting: dict[tuple[int, int], float] = {}
        self._short: dict[str, int] = {}

    def look(self, queued: Callable[[str], int]) -> dict[str, int]:
        """One round. Returns the wake-ups to send.

        Args:
            queued: Queue → messages that wait in the broker.
        """
        wakes = Counter(self.release_lost())
        wakes += Counter(self.wake_rested())
        return wakes + Counter(self.find_lost_wakeups(queued))

    def release_lost(self) -> dict[str, int]:
        """Free the tasks of lost workers."""
        with self._database.read() as session:
            alive = dict(session.execute(select(Worker.id, Worker.beat).where(Worker.state == "alive")).all())
            orphans = session.scalars(
                select(StageRun.id)
                .outerjoin(Worker, Worker.id == StageRun.owner)
                .where(StageRun.state == "running", (Worker.id.is_(None)) | (Worker.state != "alive"))
            ).all()
        moment = time.monotonic()
        blind = max(0.0, moment - self._looked - COUNTS_AT_MOST * self._settings.heartbeat_s)
        self._looked = moment
        known = {worker: (beat, since + blind) for worker, (beat, since) in self._beats.items()}
        self._beats = {
            worker: known[worker] if known.get(worker, (None,))[0] == beat else (beat, moment)
            for worker, beat in alive.items()
        }
        wakes: Counter[str] = Counter()
        for worker, (beat, since) in self._beats.items():
            if moment - since > LOST_AFTER * self._settings.heartbeat_s:
                wakes += Counter(self.mark_lost(worker, Worker.beat == beat))
        for run in orphans:
            wakes += Counter(self.release(run))
        return wakes

    def mark_lost(self, worker: str, *unless_moved: ColumnElement[bool]) -> dict[str, int]:
        """A worker is lost, unless its beat has moved after all; without a condition its death was seen."""
        with self._database.write() as session:
            gone = update(Worker).where(Worker.id == worker, Worker.state == "alive", *unless_moved)
            session.execute(gone.values(state="lost"))
            runs = session.scalars(
                select(StageRun.id)
                .join(Worker, Worker.id == StageRun.owner)
                .where(StageRun.owner == worker, StageRun.state == "running", Worker.state == "lost")
            ).all()
        wakes: Counter[str] = Counter()
        for run in runs:
            wakes += Counter(self.release(run))
        return wakes

    def release(self, run_id: int) -> dict[str, int]:
        """Make the task of a lost worker ready again; one that keeps killing its workers has failed.

        What is wrong with one job ends that job: all others wait for the same watch.
        """
        job_id = None
        try:
            with self._database.read() as session:
                job_id = session.scalar(select(StageRun.job_id).where(StageRun.id == run_id))
            return self._release(run_id)
        except Exception as error:
            if job_id is not None and at_fault(error):
                abandoned(self._database, job_id, run_id, error)
                return {}
            if not isinstance(error, CounterdubError) or is_away(error):
                raise
            log.warning("a task of a lost worker waits: %s", error.code)
            return {}

    def _release(self, run_id: int) -> dict[str, int]:
        with self._database.write() as session:
            job_id = session.scalar(select(StageRun.job_id).where(StageRun.id == run_id))
            job = locked_job(session, job_id) if job_id else None
            run = session.get(StageRun, run_id, populate_existing=True) if job else None
            if job is None or run is None or run.state != "running":
                return {}
            owner = session.get(Worker, run.owner)
            if owner is not None and owner.state == "alive":
                return {}
            if run.attempt < self._settings.max_attempts:
                return requeue(session, job, run, "its worker was lost")
            error = CounterdubError(
                f"The process that did this task died {run.attempt} times. It may need more memory than there is, or "
                "the video may hurt an engine.",
                code="worker_lost",
                stage=run.stage,
            )
            return failed(session, job, run, self._store, error, self._settings.max_attempts)

    def wake_rested(self) -> dict[str, int]:
        """Tasks that failed and have rested long enough become ready again."""
        with self._database.read() as session:
            columns = StageRun.id, StageRun.attempt, StageRun.job_id
            resting = session.execute(select(*columns).where(StageRun.state == "resting")).all()
        moment = time.monotonic()
        self._resting = {(row.id, row.attempt): self._resting.get((row.id, row.attempt), moment) for row in resting}
        wakes: Counter[str] = Counter()
        for row in resting:
            delay = self._settings.retry_delay_s * 2 ** (row.attempt - 1)
            if moment - self._resting[row.id, row.attempt] < delay:
                continue
            with self._database.write() as session:
                locked_job(session, row.job_id)
                again = update(StageRun).where(StageRun.id == row.id, StageRun.state == "resting")
                wakes += Counter(session.scalars(again.values(state="ready").returning(StageRun.queue)))
        return wakes

    def find_lost_wakeups(self, queued: Callable[[str], int]) -> Mapping[str, int]:
        """Wake-ups that the broker has lost: fewer messages than ready tasks, twice in a row."""
        with self._database.read() as session:
            ready = select(StageRun.queue, func.count()).where(
                StageRun.state == "ready", StageRun.queue.in_(self._queues)
            )
            counts = session.execute(ready.group_by(StageRun.queue)).all()
        short = {queue: count - queued(queue) for queue, count in counts}
        missing = {queue: count for queue, count in short.items() if count > 0}
        twice = {queue: min(count, self._short[queue]) for queue, count in missing.items() if queue in self._short}
        self._short = missing
        return twice
