"""An API of our own, with a finished job in it, in this process or behind a real server."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from services.api.app import create_app
from services.api.auth.keys import create_key
from services.api.dependencies import Services
from services.api.server import create_server
from shared.core.store import Store
from shared.ledger.database import Database, append_event, locked_job
from shared.ledger.tables import Artifact, Base, Job, Title, now
from shared.queue.service_settings import ServiceSettings


@dataclass
class Api:
    """The application, its parts, and ways to fill them."""

    app: FastAPI

    @property
    def here(self) -> Services:
        services: Services = self.app.state.services
        return services

    @property
    def database(self) -> Database:
        return self.here.database

    @property
    def store(self) -> Store:
        return self.here.store

    def client(self, key: str | None = None) -> TestClient:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return TestClient(self.app, base_url="http://localhost", headers=headers, raise_server_exceptions=True)

    def key(self, *scopes: str) -> tuple[str, str]:
        return create_key(self.database, "test", scopes or ("jobs:read", "jobs:write"))

    def job(self, key_id: str | None = None, *, state: str = "running", titles: tuple[str, ...] = ("clip",)) -> str:
        """A job as the queue would leave it, without tasks."""
        ended = state in ("done", "failed", "cancelled")
        with self.database.write() as session:
            job = Job(key_id=key_id, state=state, languages=["es", "fr"], settings={"profile": "cpu"})
            job.titles = len(titles)
            job.finished = now() if ended else None
            session.add(job)
            session.flush()
            for position, name in enumerate(titles):
                title = Title(job_id=job.id, position=position, name=name, source_kind="upload")
                title.source_name, title.languages, title.state = f"{name}.mp4", ["es", "fr"], state
                session.add(title)
            append_event(session, job, "job_created", titles=list(titles))
            if ended:
                append_event(session, job, f"job_{state}")
        return job.id

    def tell(self, job_id: str, *kinds: str, title: str = "clip") -> None:
        with self.database.write() as session:
            job = locked_job(session, job_id)
            assert job is not None
            for kind in kinds:
                append_event(session, job, kind, title=title)
                if kind in ("job_done", "job_failed", "job_cancelled"):
                    job.state = kind.removeprefix("job_")

    def publish(self, job_id: str, files: Mapping[str, Path], internal: bool = False) -> None:
        """Artifacts of a job, as the queue enters them."""
        with self.store.workspace() as folder:
            blobs = {}
            for number, (path, source) in enumerate(files.items()):
                copy = folder / f"{number}{source.suffix}"
                shutil.copyfile(source, copy)
                blobs[path] = self.store.add(Path(path).name, copy, move=True)
        with self.database.write() as session:
            for path, blob in blobs.items():
                title = path.partition("/")[0] if "/" in path else ""
                row: dict[str, Any] = {"name": blob.name, "sha256": blob.sha256, "size": blob.size}
                session.merge(Artifact(job_id=job_id, path=path, title=title, internal=internal, **row))


def make_api(folder: Path, database_url: str | None = None, *, keys_required: bool = False, **settings: Any) -> Api:
    values = {
        "data": folder / "data",
        "database_url": database_url,
        # Nobody listens there: the API must not need the broker.
        "broker_url": "redis://127.0.0.1:1/0",
        **settings,
    }
    api = Api(create_app(ServiceSettings.model_validate(values), keys_required=keys_required))
    Base.metadata.create_all(api.database.engine)
    return api


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """A real server for the application; gives its address."""
    server = create_server(api.app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.handle_exit(2, None)
        thread.join(30)
        assert not thread.is_alive()
