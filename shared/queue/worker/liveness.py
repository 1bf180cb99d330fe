"""Liveness of worker processes, checked from outside: silent ones, and those past their time limit, are ended.

A call that never returns to Python keeps every thread of its process from looking at the clock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy import select

from shared.core.store import Store
from shared.ledger.database import Database
from shared.ledger.tables import Job, StageRun
from shared.queue.scheduling.claims import fail
from shared.queue.service_settings import ServiceSettings
from shared.queue.trainings import TASK
from shared.queue.worker.heartbeat import overtime

log = logging.getLogger(__name__)

LATE_S = 2.0
"""A process ends itself at the time limit; so long after it, it is ended."""
COUNTS_AT_MOST_S = 1.0
"""Silence that one look adds, however long after the one before: whoever looks may have stood still itself."""


class LivenessCheck:
    """One supervisor's memory of what its processes do and since when, by its own monotonic clock."""

    def __init__(self, database: Database, store: Store, settings: ServiceSettings) -> None:
        self._database = database
        self._store = store
        self._settings = settings
        self._begun: dict[tuple[int, int], float] = {}
        self._cancelled: dict[tuple[int, int], float] = {}
        self._pulses: dict[str, tuple[int, float]] = {}
        self._felt = time.monotonic()

    def find_silent(self, pulses: Mapping[str, Path]) -> list[str]:
        """Workers whose process has not moved its pulse for too long: stopped, or in a call that keeps all threads.

        Args:
            pulses: Worker → file that its process touches.
        """
        moment = time.monotonic()
        passed, self._felt = min(moment - self._felt, COUNTS_AT_MOST_S), moment
        seen = {}
        for worker, path in pulses.items():
            if not path.exists():  # Something tidies temporary folders.
                path.parent.mkdir(exist_ok=True)
                path.touch()
            moved, still = path.stat().st_mtime_ns, 0.0
            if worker in self._pulses and self._pulses[worker][0] == moved:
                still = self._pulses[worker][1] + passed
            seen[worker] = (moved, still)
        self._pulses = seen
        return [worker for worker, (_, still) in seen.items() if still > self._settings.silent_s]

    def find_overdue(self, workers: Iterable[str]) -> list[str]:
        """Workers whose process has to be ended: past its time limit, which is booked here, or deaf to cancellation.

        Raises:
            StorageError: ``database_away``.
        """
        wanted = (
            select(StageRun.id, StageRun.attempt, StageRun.stage, StageRun.owner, Job.state)
            .join(Job, Job.id == StageRun.job_id)
            .where(StageRun.owner.in_(list(workers)), StageRun.state == "running")
        )
        with self._database.read() as session:
            rows = session.execute(wanted).all()
        moment = time.monotonic()
        self._begun = {key: self._begun.get(key, moment) for key in ((row.id, row.attempt) for row in rows)}
        # A training saves a checkpoint before it stops, and its processes are ended by those who follow them.
        cancelling = ((row.id, row.attempt) for row in rows if row.state == "cancelling" and row.stage != TASK)
        self._cancelled = {key: self._cancelled.get(key, moment) for key in cancelling}
        ended = []
        for row in rows:
            key, limit = (row.id, row.attempt), self._settings.limit(row.stage)
            if moment - self._begun[key] > limit + LATE_S:
                error = overtime(row.stage, limit)
                fail(self._database, self._store, row.id, row.owner, error, self._settings.max_attempts)
                ended.append(row.owner)
            elif moment - self._cancelled.get(key, moment) > self._settings.cancel_s:
                ended.append(row.owner)
        return ended
