"""An API that takes 10 MB at most, and a caller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.integration.security.installation import Installation, install


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Installation]:
    found = install(tmp_path / "data", max_upload_bytes=10**7)
    yield found
    found.close()


@pytest.fixture
def caller(api: Installation) -> TestClient:
    return api.caller()
