"""What a tus client does, a request each."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from shared.core.store import Blob
from shared.ledger.tables import Upload
from tests.integration.security.installation import Installation

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {**TUS, "Content-Type": "application/offset+octet-stream"}
DATA = os.urandom(300_000)
URL = "/v1/uploads"


def named(name: str) -> dict[str, str]:
    return {"Upload-Metadata": f"filename {base64.b64encode(name.encode()).decode()},filetype dmlkZW8="}


def created(caller: TestClient, size: int = len(DATA), headers: Mapping[str, str] | None = None) -> str:
    response = caller.post(URL, headers={**TUS, "Upload-Length": str(size), **(headers or {})})
    assert response.status_code == 201, response.text
    return str(response.headers["location"])


def sent(caller: TestClient, place: str, at: int, data: Any, **headers: str) -> Any:
    return caller.patch(place, content=data, headers={**OCTETS, "Upload-Offset": str(at), **headers})


def offset(caller: TestClient, place: str) -> int:
    response = caller.head(place, headers=TUS)
    assert response.status_code == 200 and response.headers["cache-control"] == "no-store"
    return int(response.headers["upload-offset"])


def row(api: Installation, place: str) -> Upload:
    with api.here.database.read() as session:
        found = session.get(Upload, place.rpartition("/")[2])
    assert found is not None
    return found


def stored(api: Installation, place: str) -> bytes:
    blob = row(api, place).blob
    assert blob is not None
    return api.here.store.fetch(Blob(**blob)).read_bytes()


def parts(api: Installation) -> list[Path]:
    return list(api.settings.uploads().glob("*"))


def checksum(data: bytes, algorithm: str = "sha256") -> dict[str, str]:
    digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    return {"Upload-Checksum": f"{algorithm} {digest}"}
