"""Trainings that are asked for, the jobs that they train on, and a worker that takes them."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import func, select

from shared.core.store import Blob
from shared.ledger.tables import Job
from shared.ledger.training_tables import Training
from shared.queue.scheduling.claims import claim
from tests.integration.api.harness import Api


def done(api: Api, accepted: int = 4, key_id: str | None = None, **tracks: int) -> str:
    """A job with pairs."""
    job = api.job(key_id, state="done")
    with api.database.write() as session:
        session.get_one(Job, job).summary = {"accepted": accepted, "rejected": 1, "tracks": tracks}
    return job


def begin(client: TestClient, *jobs: str, **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/trainings", json={"recipe": "tiny-en", "jobs": list(jobs), **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def count(api: Api, table: Any = Training) -> int:
    with api.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def at_work(api: Api) -> int:
    """A worker called w takes the oldest training; its task."""
    claimed = claim(api.database, "w", "trainer")
    assert claimed is not None
    return claimed.run


def stored(api: Api, name: str, content: str) -> Blob:
    with api.store.workspace() as folder:
        (folder / name).write_text(content)
        return api.store.add(name, folder / name, move=True)
