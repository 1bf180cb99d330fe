"""Jobs that are asked for, and how many there are."""

from __future__ import annotations

from typing import Any

import httpx2
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from shared.ledger.tables import Job
from tests.integration.api.harness import Api


def video(name: str = "Mein Film.mp4", content: bytes = b"a video") -> tuple[str, tuple[str, bytes]]:
    return "video", (name, content)


def count(api: Api, table: Any = Job) -> int:
    with api.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def ask(client: TestClient, key: str, languages: tuple[str, ...] = ("es",)) -> httpx2.Response:
    body = {"sources": [{"url": "https://example.org/a.mp4"}], "languages": list(languages)}
    return client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})
