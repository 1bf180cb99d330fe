"""The real application over a database and a store of its own, without workers or broker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from services.api.app import create_app
from services.api.auth.keys import Limits, create_key
from services.api.dependencies import Services
from shared.ledger.tables import Base, Job
from shared.queue.service_settings import ServiceSettings

READER, WRITER = ("jobs:read",), ("jobs:read", "jobs:write")
HERE = "http://localhost:8000"


@dataclass
class Installation:
    app: FastAPI
    settings: ServiceSettings

    @property
    def here(self) -> Services:
        found: Services = self.app.state.services
        return found

    def client(self, secret: str | None = None, **headers: str) -> TestClient:
        """A caller, with the key's secret."""
        known = {"Authorization": f"Bearer {secret}"} if secret else {}
        return TestClient(
            self.app, base_url=HERE, headers={**known, **headers}, raise_server_exceptions=False, follow_redirects=False
        )

    def key(self, *scopes: str, **limits: Any) -> str:
        return create_key(self.here.database, "test", scopes or WRITER, Limits(**limits))[1]

    def caller(self, *scopes: str, **limits: Any) -> TestClient:
        """A caller with a new key."""
        return self.client(self.key(*scopes, **limits))

    def jobs(self) -> list[Job]:
        with self.here.database.read() as session:
            return list(session.scalars(select(Job)))

    def close(self) -> None:
        self.here.waking.shutdown(cancel_futures=True)
        self.here.database.close()


def install(folder: Path, keys_required: bool = True, database: str | None = None, **more: Any) -> Installation:
    settings = ServiceSettings(
        data=folder,
        database_url=database,
        broker_url="redis://127.0.0.1:1/0",
        **more,
    )
    found = Installation(create_app(settings, keys_required=keys_required), settings)
    Base.metadata.create_all(found.here.database.engine)
    return found


def problem(response: Any, status: int) -> str:
    """The code of the problem that a response is; its status is checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    return str(response.json()["code"])
