"""A broker, a database, a store and workers, all real, on free ports and temporary folders."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from shared.core.store import Blob, Store
from shared.ledger.database import Database
from shared.ledger.tables import FINAL, Artifact, Base, Event, Job, StageRun, Worker
from shared.queue import job_commands
from shared.queue.celery_app import Waker
from shared.queue.service_settings import QUEUES, ServiceSettings
from shared.settings.models import Settings
from tests.integration.queue.nursery import Nursery

ALL = (*QUEUES, "fetch")
HEARTBEAT = 1.0
SLOW = 5.0
"""How much slower than an idle one a busy machine may be."""


class Rig:
    """One installation. Its workers are what ``counterdub worker`` starts, with null stages."""

    def __init__(
        self, folder: Path, database_url: str, broker: str, nursery: Nursery, store_url: str | None = None
    ) -> None:
        self.folder = folder
        self.traps, self.calls = folder / "traps", folder / "calls"
        self.traps.mkdir(parents=True)
        self.environment = {
            **os.environ,
            "COUNTERDUB_DATA": str(folder / "data"),
            "COUNTERDUB_DATABASE_URL": database_url,
            "COUNTERDUB_BROKER_URL": broker,
            "COUNTERDUB_HEARTBEAT_S": str(HEARTBEAT),
            "COUNTERDUB_RETRY_DELAY_S": "0.2",
            "COUNTERDUB_SOFT_SHUTDOWN_S": "5",
            "COUNTERDUB_TEST_TRAPS": str(self.traps),
            "COUNTERDUB_TEST_CALLS": str(self.calls),
        }
        if store_url:
            self.environment["COUNTERDUB_STORE_URL"] = store_url
        values = {"data": folder / "data", "database_url": database_url, "broker_url": broker, "store_url": store_url}
        self.settings = ServiceSettings.model_validate(values)
        self.database = Database(self.settings.sqlalchemy_url())
        Base.metadata.create_all(self.database.engine)
        self.store = Store(self.settings.store(), folder / "copies")
        self.waker = Waker(broker)
        self.workers: list[int] = []
        self._nursery = nursery

    def worker(self, queues: Sequence[str] = ALL, concurrency: int = 1, **environment: str) -> int:
        """Start a worker; its process id."""
        pid = self._nursery.start(
            environment={**self.environment, **environment}, queues=list(queues), concurrency=concurrency
        )
        self.workers.append(pid)
        return pid

    def submit(
        self,
        *names: str,
        languages: Sequence[str] = ("es", "fr"),
        chunks: int = 2,
        shots: int | None = None,
        **more: Any,
    ) -> str:
        """A job with a null video for each name."""
        videos = {name: self.video(name, chunks, shots or chunks * 2) for name in names}
        sources = [job_commands.VideoSource("upload", f"{name}.mp4", blob=blob) for name, blob in videos.items()]
        order = job_commands.JobOrder(sources, languages, Settings(), **more)
        job, wakes = job_commands.create_job(self.database, self.store, order)
        self.waker.wake(wakes)
        return job

    def video(self, name: str, chunks: int, shots: int) -> Blob:
        with self.store.workspace() as folder:
            path = folder / "video.mp4"
            path.write_text(json.dumps({"name": name, "chunks": chunks, "shots": shots}))
            return self.store.add("video.mp4", path, move=True)

    def job(self, job: str) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, job)

    def wait(self, job: str, seconds: float = 60.0) -> Job:
        """Until the job has ended."""
        deadline = time.monotonic() + seconds * SLOW
        while (found := self.job(job)).state not in FINAL:
            assert time.monotonic() < deadline, f"{job} did not end: {self.states(job)} {self.alive()}"
            time.sleep(0.05)
        return found

    def until(self, what: Callable[[], Any], seconds: float = 20.0) -> Any:
        """Until ``what()`` is true; what it gave."""
        deadline = time.monotonic() + seconds * SLOW
        while not (found := what()):
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.02)
        return found

    def states(self, job: str) -> dict[str, int]:
        with self.database.read() as session:
            counted = select(StageRun.state, func.count()).where(StageRun.job_id == job).group_by(StageRun.state)
            return dict(session.execute(counted).all())

    def runs(self, job: str) -> list[StageRun]:
        with self.database.read() as session:
            return list(session.scalars(select(StageRun).where(StageRun.job_id == job).order_by(StageRun.id)))

    def run(self, job: str, task: str, title: str | None = None) -> StageRun | None:
        found = [run for run in self.runs(job) if run.task == task and title in (None, run.title)]
        return found[0] if found else None

    def running(self, job: str, task: str) -> StageRun:
        """The task, once a worker has it in hand."""

        def at_work() -> StageRun | None:
            found = self.run(job, task)
            return found if found and found.state == "running" else None

        found: StageRun = self.until(at_work)
        return found

    def events(self, job: str) -> list[Event]:
        with self.database.read() as session:
            return list(session.scalars(select(Event).where(Event.job_id == job).order_by(Event.seq)))

    def kinds(self, job: str) -> list[str]:
        """Kinds of the job's events, which have no gap."""
        events = self.events(job)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        return [event.kind for event in events]

    def artifacts(self, job: str) -> dict[str, str]:
        """Path → content hash, without what tells times."""
        with self.database.read() as session:
            rows = session.scalars(select(Artifact).where(Artifact.job_id == job)).all()
        return {row.path: row.sha256 for row in rows if not row.path.endswith("title.json")}

    def lines(self) -> Counter[str]:
        """Task → how often a worker began to do it."""
        return Counter(self.calls.read_text().split()) if self.calls.exists() else Counter()

    def forget_calls(self) -> None:
        self.calls.unlink(missing_ok=True)

    def trap(self, task: str, what: str) -> Path:
        path = self.traps / f"{task.replace('/', '+')}.{what}"
        path.touch()
        return path

    def alive(self) -> list[Worker]:
        with self.database.read() as session:
            return list(session.scalars(select(Worker).where(Worker.state == "alive")))

    def kill_workers(self) -> None:
        """SIGKILL for every process of every worker, watch first."""
        for pid in [*self.workers, *(worker.pid for worker in self.alive())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.workers.clear()

    def stop(self, worker: int) -> None:
        """SIGTERM, and wait for the end."""
        os.kill(worker, signal.SIGTERM)
        self.until(lambda: not is_running(worker))
        self.workers.remove(worker)

    def close(self) -> None:
        self.kill_workers()
        self.database.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
