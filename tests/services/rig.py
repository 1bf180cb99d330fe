"""A broker, a database, a store and workers, all real, on free ports and temporary folders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from shared.jobs import requests
from shared.jobs.database import Database
from shared.jobs.settings import QUEUES, ServiceSettings
from shared.jobs.tables import FINAL, Artifact, Event, Job, StageRun, Worker
from shared.jobs.wakeups import Waker
from shared.settings import Settings
from shared.store import Blob, Store

ALL = (*QUEUES, "fetch")
HEARTBEAT = 1.0


class Rig:
    """One installation. Workers are started as ``counterdub worker`` starts them, with null stages."""

    def __init__(self, folder: Path, database_url: str, broker: str, store_url: str | None = None) -> None:
        self.folder = folder
        self.traps, self.calls = folder / "traps", folder / "calls"
        self.traps.mkdir(parents=True)
        values = {
            "data": folder / "data",
            "database_url": database_url,
            "broker_url": broker,
            "heartbeat_s": HEARTBEAT,
            "retry_delay_s": 0.2,
            "soft_shutdown_s": 5,
            "store_url": store_url,
        }
        self.settings = ServiceSettings.model_validate(values)
        self.database = Database(self.settings.sqlalchemy_url())
        self.store = Store(self.settings.store(), folder / "copies")
        self.waker = Waker(broker)
        self.workers: list[subprocess.Popen[bytes]] = []
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
            self.environment |= {
                "COUNTERDUB_STORE_URL": store_url,
            }

    def worker(self, queues: Sequence[str] = ALL, concurrency: int = 1, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.services.workers", ",".join(queues), str(concurrency)],
            env={**self.environment, **environment},
            start_new_session=True,
        )
        self.workers.append(process)
        return process

    def submit(self, *names: str, languages: Sequence[str] = ("es", "fr"), chunks: int = 2, **more: Any) -> str:
        """A job with a null video for each name."""
        sources = [requests.Source("upload", f"{name}.mp4", blob=self.video(name, chunks)) for name in names]
        job, wakes = requests.create_job(self.database, self.store, sources, languages, Settings(), **more)
        self.waker.wake(wakes)
        return job

    def video(self, name: str, chunks: int) -> Blob:
        with self.store.workspace() as folder:
            path = folder / "video.mp4"
            path.write_text(json.dumps({"name": name, "chunks": chunks, "shots": chunks * 2}))
            return self.store.add("video.mp4", path, move=True)

    def wait(self, job: str, seconds: float = 60.0) -> Job:
        """Until the job has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.database.read() as session:
                found = session.get_one(Job, job)
            if found.state in FINAL:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{job} did not end: {self.states(job)}")

    def until(self, what: Any, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.02)

    def states(self, job: str) -> dict[str, int]:
        with self.database.read() as session:
            counted = select(StageRun.state, func.count()).where(StageRun.job_id == job).group_by(StageRun.state)
            return dict(session.execute(counted).all())

    def runs(self, job: str) -> list[StageRun]:
        with self.database.read() as session:
            return list(session.scalars(select(StageRun).where(StageRun.job_id == job).order_by(StageRun.id)))

    def events(self, job: str) -> list[Event]:
        with self.database.read() as session:
            return list(session.scalars(select(Event).where(Event.job_id == job).order_by(Event.seq)))

    def artifacts(self, job: str) -> dict[str, str]:
        """Path → content hash, without what tells times."""
        with self.database.read() as session:
            rows = session.scalars(select(Artifact).where(Artifact.job_id == job)).all()
        return {row.path: row.sha256 for row in rows if not row.path.endswith(("title.json", "report.json"))}

    def lines(self) -> Counter[str]:
        """Task → how often a worker began to do it."""
        return Counter(self.calls.read_text().split()) if self.calls.exists() else Counter()

    def trap(self, task: str, what: str) -> Path:
        path = self.traps / f"{task.replace('/', '+')}.{what}"
        path.touch()
        return path

    def alive(self) -> list[Worker]:
        with self.database.read() as session:
            return list(session.scalars(select(Worker).where(Worker.state == "alive")))

    def close(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.workers:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        for worker in self.alive():
            try:
                os.kill(worker.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.database.close()
