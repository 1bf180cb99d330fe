from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.security.installation import Installation, install


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Installation]:
    """With keys."""
    found = install(tmp_path)
    yield found
    found.close()
