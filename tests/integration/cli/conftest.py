"""A real server without workers, and the command line against it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from services.api.app import create_app
from services.api.auth.keys import create_key
from services.api.server import create_server
from services.cli.main import app
from services.cli.serve.listen_address import listen
from shared.core.store import Store
from shared.ledger import migrate
from shared.ledger.database import Database, append_event, locked_job
from shared.ledger.tables import Artifact, Job, Title, Upload
from shared.queue.scheduling.completion import job_ended
from shared.queue.service_settings import ServiceSettings


@dataclass
class Installation:
    """A server, and what its workers would write."""

    url: str
    port: int
    database: Database
    store: Store
    key: str | None = None

    def jobs(self) -> list[Job]:
        with self.database.read() as session:
            return list(session.scalars(select(Job)))

    def uploads(self) -> list[Upload]:
        with self.database.read() as session:
            return list(session.scalars(select(Upload)))

    def titles(self) -> list[Title]:
        with self.database.read() as session:
            return list(session.scalars(select(Title).order_by(Title.position)))

    def content(self, title: Title) -> bytes:
        from shared.core.store import Blob

        assert title.video is not None
        return self.store.fetch(Blob(**title.video)).read_bytes()

    def tell(self, job_id: str, kind: str, **data: Any) -> None:
        with self.database.write() as session:
            job = locked_job(session, job_id)
            assert job is not None
            append_event(session, job, kind, **data)

    def end(self, job_id: str, state: str = "done", failed: int = 0) -> None:
        with self.database.write() as session:
            job = locked_job(session, job_id)
            assert job is not None
            for index, title in enumerate(session.scalars(select(Title).where(Title.job_id == job_id))):
                title.state = "failed" if index < failed else "done"
            job.titles_failed, job.titles_ended = failed, job.titles
            job.summary = {"accepted": 3, "rejected": 1}
            job_ended(session, job, state, **job.summary)

    def artifact(self, job_id: str, path: str, content: bytes, folder: Path) -> None:
        file = folder / "artifact"
        file.write_bytes(content)
        blob = self.store.add(path.rpartition("/")[2], file)
        with self.database.write() as session:
            title = path.rpartition("/")[0].partition("/")[0]
            session.add(
                Artifact(job_id=job_id, path=path, title=title, name=blob.name, sha256=blob.sha256, size=blob.size)
            )


@contextmanager
def serving(folder: Path, keys_required: bool = False) -> Iterator[Installation]:
    # Nothing listens there: jobs are taken while the broker is away.
    settings = ServiceSettings.model_validate({"data": folder, "broker_url": "redis://127.0.0.1:1/0"})
    folder.mkdir(exist_ok=True)
    migrate.upgrade(settings.sqlalchemy_url())
    database = Database(settings.sqlalchemy_url())
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    server = create_server(create_app(settings, keys_required=keys_required), "127.0.0.1", port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    key = create_key(database, "test", ["jobs:read", "jobs:write"])[1] if keys_required else None
    yield Installation(f"http://127.0.0.1:{port}", port, database, Store(settings.store()), key)
    server.should_exit = True
    thread.join(15)
    listening.close()
    database.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Installation]:
    with serving(tmp_path / "data") as found:
        yield found


@pytest.fixture
def closed_server(tmp_path: Path) -> Iterator[Installation]:
    """One that asks for keys."""
    with serving(tmp_path / "closed", keys_required=True) as found:
        yield found


def counterdub(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def said(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def soon(action: Any, seconds: float = 0.0) -> threading.Thread:
    """Do something beside the test, a little later."""

    def run() -> None:
        time.sleep(seconds)
        action()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
