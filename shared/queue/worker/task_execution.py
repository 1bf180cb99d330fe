"""Execution of one claimed task in a worker process, and the record of how it ended, whatever happens around it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TypeVar

from shared.core.errors import Cancelled, CounterdubError, StorageError
from shared.core.storage_errors import for_service
from shared.core.store import Store
from shared.ledger.database import Database, is_away
from shared.observability import tracing
from shared.observability.logging import bound
from shared.pipeline.task_runner import Performer, failures
from shared.pipeline.task_work import EnginePool
from shared.queue import trainings
from shared.queue.celery_app import Waker
from shared.queue.scheduling.claims import Claimed, claim, fail, finish, give_up_claim
from shared.queue.service_settings import ServiceSettings
from shared.queue.worker import delivery
from shared.queue.worker.heartbeat import Heartbeat
from shared.schemas.provenance import signer
from shared.settings.models import Settings, stored_settings
from shared.weights import WeightFolder

log = logging.getLogger(__name__)
T = TypeVar("T")


class Runner:
    """One process's worker: claims, does and books tasks one at a time. Engines stay loaded between them, until idle.

    Args:
        queues: The queues it serves, for its row in the database.
        worker: Its id, where whoever started it chose one.
    """

    def __init__(
        self, settings: ServiceSettings, queues: tuple[str, ...], waker: Waker, worker: str | None = None
    ) -> None:
        self.settings = settings
        self.database = Database(settings.sqlalchemy_url())
        self.store = settings.open_store()
        self.stopping = threading.Event()
        self._pool = EnginePool(WeightFolder())
        self._performer = Performer(self.store, self._pool)
        self._waker = waker
        self._settings_of = ("", Settings())
        """The latest job and its settings: jobs have many tasks."""
        self._unsure = False
        """The last claim may have been written though its answer never came."""
        self.heartbeat = Heartbeat(self.database, settings, queues, worker)

    def start(self) -> None:
        """Begin to be seen.

        Raises:
            UsageError: ``bad_signing_key``: better here than at every title's end.
        """
        signer(self.settings.signing_key)
        patiently(self.heartbeat.register, self.stopping)
        self.heartbeat.start()
        if self.settings.engine_idle_s:
            threading.Thread(target=self._free_idle, name="idle engines", daemon=True).start()

    def _free_idle(self) -> None:
        """Until the worker stops: what waits for work keeps no memory from the other workers of the machine or card."""
        idle = self.settings.engine_idle_s
        while not self.stopping.wait(min(idle / 4, 30.0)):
            if freed := self._pool.free(idle):
                log.info("idle engines freed", extra={"engines": freed})

    def stop(self) -> None:
        """After the last task: say goodbye, so that nobody waits for the heartbeat."""
        self.heartbeat.stop()
        self.database.close()

    def give_up(self) -> None:
        """Called from a signal or timer: stop the task in hand and give it back."""
        self.stopping.set()
        self.heartbeat.interrupt()

    def work(self, queue: str) -> bool:
        """Do one task of a queue. False when there was none."""
        claimed = None if self.stopping.is_set() else self._claim(queue)
        if claimed is None:
            return False
        facts = {
            "job": claimed.job,
            "title": claimed.title or None,
            "stage": claimed.task.stage,
            "task": claimed.task.id,
        }
        with self.heartbeat.watching(claimed) as cancelled, bound(**facts):
            log.info("task started")
            began = time.perf_counter()
            try:
                with (
                    tracing.span(claimed.task.stage, claimed.traceparent, **facts),
                    failures(claimed.task.stage, f"task {claimed.task.id} of {claimed.job}"),
                ):
                    wakes = self.perform(claimed, cancelled)
            except CounterdubError as error:
                log.warning("task failed: %s", error.code)
                wakes = patiently(self.booking(claimed, for_service(error)), threading.Event())
            else:
                log.info("task done", extra={"seconds": round(time.perf_counter() - began, 3)})
        self._waker.wake(wakes)
        return True

    def _claim(self, queue: str) -> Claimed | None:
        """The next task; None also where the worker is told to stop while the database is away."""

        def attempt() -> Claimed | None:
            resume, self._unsure = self._unsure, True
            claimed = claim(self.database, self.heartbeat.worker, queue, resume)
            self._unsure = False
            return claimed

        try:
            return patiently(attempt, self.stopping)
        except StorageError:
            if not self.stopping.is_set():
                raise
            return None

    def perform(self, claimed: Claimed, cancelled: threading.Event) -> Mapping[str, int]:
        """Do the task and book its end."""
        worker, run = self.heartbeat.worker, claimed.run
        report = self.heartbeat.report
        if claimed.task.stage == "deliver" and claimed.title_id is not None:
            title = claimed.title_id
            key = self.settings.signing_key
            return patiently(
                lambda: delivery.deliver(self.database, self.store, run, worker, title, key), self.stopping
            )
        if claimed.task.stage == "dataset":
            do, job, performer = delivery.summarise, claimed.job, self._performer
            return patiently(lambda: do(self.database, performer, run, worker, job, cancelled, report), self.stopping)
        if claimed.task.stage == trainings.TASK:
            here = TaskContext(self.database, self.store, self.settings, worker, cancelled, self.stopping)
            return trainer()(claimed, here)
        if claimed.job != self._settings_of[0]:
            self._settings_of = claimed.job, stored_settings(claimed.settings)[0]
        settings = self._settings_of[1]
        done = self._performer.perform(claimed.task, claimed.inputs(), settings, cancelled, report)
        # The work is in the store: it only has to be written down, however long the database is away.
        return patiently(lambda: finish(self.database, self.store, run, worker, done), threading.Event())

    def booking(self, claimed: Claimed, error: CounterdubError) -> Callable[[], Mapping[str, int]]:
        """How a failure is booked: as one, or as nobody's fault."""
        worker, attempts = self.heartbeat.worker, self.settings.max_attempts
        if isinstance(error, Cancelled) and self.stopping.is_set():
            return lambda: give_up_claim(self.database, claimed.run, worker)
        return lambda: fail(self.database, self.store, claimed.run, worker, error, attempts)


@dataclass(frozen=True)
class TaskContext:
    """What a task that is no stage has at hand: one that takes days, may go on elsewhere and tells as it goes.

    Attributes:
        cancelled: Set when it is to stop, for whatever reason.
        stopping: Set when the worker is to stop: then somebody goes on with the task.
    """

    database: Database
    store: Store
    settings: ServiceSettings
    worker: str
    cancelled: threading.Event
    stopping: threading.Event


@lru_cache
def trainer() -> Callable[[Claimed, TaskContext], Mapping[str, int]]:
    """What does trainings: the entry point ``train`` of ``counterdub.tasks``."""
    (point,) = entry_points(group="counterdub.tasks", name=trainings.TASK)
    task: Callable[[Claimed, TaskContext], Mapping[str, int]] = point.load()
    return task


def patiently(action: Callable[[], T], stopping: threading.Event) -> T:
    """Try until the database answers, with growing pauses.

    Raises:
        StorageError: The database's, when ``stopping`` is set meanwhile.
    """
    pause = 0.1
    while True:
        try:
            return action()
        except CounterdubError as error:
            if not is_away(error) or stopping.is_set():
                raise
            log.warning("the database: %s", error.code)
            stopping.wait(pause)
            pause = min(pause * 2, 5.0)
