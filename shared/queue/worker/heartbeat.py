"""Heartbeat of a worker: renews its lease, writes progress, notices cancellation and enforces the time limit."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select, update

from shared.core.errors import CounterdubError, EngineError
from shared.ledger.database import Database
from shared.ledger.tables import Job, StageRun, Worker, new_id
from shared.queue.scheduling.claims import Claimed, fail
from shared.queue.service_settings import ServiceSettings

log = logging.getLogger(__name__)

PULSE_S = 0.5
OVERTIME = 70
"""Exit code of a process that ended itself because a task took too long."""


class Heartbeat:
    """Runs beside the work in a thread of its own."""

    def __init__(
        self, database: Database, settings: ServiceSettings, queues: tuple[str, ...], worker: str | None = None
    ) -> None:
        self.worker = worker or new_id("wrk")
        self.parent: int | None = None
        """The process that started this one, where its end is to be this one's."""
        self._database = database
        self._settings = settings
        self._queues = queues
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._claimed: Claimed | None = None
        self._cancelled = threading.Event()
        self._share = 0.0
        self._since = 0.0
        self.pulse: Path | None = None
        """File to touch as long as this process's threads run; whoever started it feels it."""
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def register(self) -> None:
        with self._database.write() as session:
            session.add(
                Worker(id=self.worker, queues=list(self._queues), host=socket.gethostname()[:255], pid=os.getpid())
            )

    def start(self) -> None:
        self._thread.start()
        if self.pulse is not None:
            threading.Thread(target=self._keep_pulse, args=(self.pulse,), name="pulse", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(timeout=5)
        try:
            with self._database.write() as session:
                session.execute(update(Worker).where(Worker.id == self.worker).values(state="stopped"))
        except CounterdubError:
            log.warning("the database does not answer; the watch will find this worker gone")

    def interrupt(self) -> None:
        """Have the task in hand stop at its next progress report."""
        self._cancelled.set()

    def report(self, share: float) -> None:
        """Told by the task how far it is; written with the next look at the database."""
        self._share = share

    @contextmanager
    def watching(self, claimed: Claimed) -> Iterator[threading.Event]:
        """The task in hand. Yields what is set when it has to stop."""
        with self._lock:
            self._cancelled = threading.Event()
            self._share, self._since = 0.0, time.monotonic()
            self._claimed = claimed
        try:
            yield self._cancelled
        finally:
            with self._lock:
                self._claimed = None

    def _keep_pulse(self, path: Path) -> None:
        """By itself, since the heartbeat may wait for the database."""
        while not self._ended.wait(PULSE_S):
            with contextlib.suppress(OSError):  # Whoever felt it is gone, or the disk is: nothing depends on one touch.
                path.touch()

    def _beat(self) -> None:
        """A beat every half heartbeat; a look at the task in hand every second or oftener."""
        beat_every = self._settings.heartbeat_s / 2
        look_every = min(1.0, beat_every)
        last = 0.0
        while not self._ended.wait(look_every):
            if self.parent not in (None, os.getppid()):
                # Whoever started this process is gone and could not stop it: stop in order.
                self.parent = None
                os.kill(os.getpid(), signal.SIGTERM)
            try:
                if time.monotonic() - last >= beat_every:
                    self._move()
                    last = time.monotonic()
                with self._lock:
                    claimed, cancelled = self._claimed, self._cancelled
                if claimed is not None:
                    self._look(claimed, cancelled)
            except CounterdubError as error:
                log.warning("no beat: %s", error.code)
            except Exception:
                # A heartbeat that stands still would keep time limits and cancellation from every later task.
                log.exception("no beat")

    def _move(self) -> None:
        with self._database.write() as session:
            moved = update(Worker).where(Worker.id == self.worker)
            session.execute(moved.values(beat=Worker.beat + 1))
            state = session.scalar(select(Worker.state).where(Worker.id == self.worker))
            if state == "lost":
                # Declared dead too early: what was in hand has been given to others.
                session.execute(moved.values(state="alive"))

    def _look(self, claimed: Claimed, cancelled: threading.Event) -> None:
        limit = self._settings.limit(claimed.task.stage)
        if time.monotonic() - self._since > limit:
            self._end_process(claimed, limit)
        with self._database.read() as session:
            row = session.execute(
                select(StageRun.owner, StageRun.progress, Job.state)
                .join(Job, Job.id == StageRun.job_id)
                .where(StageRun.id == claimed.run)
            ).first()
        if row is None or row.owner != self.worker or row.state == "cancelling":
            cancelled.set()
        elif self._share - row.progress >= 0.01:
            mine = StageRun.id == claimed.run, StageRun.owner == self.worker
            with self._database.write() as session:
                session.execute(update(StageRun).where(*mine).values(progress=self._share))

    def _end_process(self, claimed: Claimed, limit: float) -> None:
        """An engine that hangs cannot be interrupted, only ended with its process."""
        error = overtime(claimed.task.stage, limit)
        fail(self._database, self._settings.open_store(), claimed.run, self.worker, error, self._settings.max_attempts)
        log.error("task %s of %s ran out of time", claimed.task.id, claimed.job)
        os._exit(OVERTIME)


def overtime(stage: str, limit: float) -> EngineError:
    """The error of a task that took longer than it may."""
    return EngineError(
        f"This task took longer than {limit:.0f} s. Raise COUNTERDUB_TIME_LIMIT_S if the machine is slow.",
        code="time_limit",
        stage=stage,
        retryable=True,
    )
