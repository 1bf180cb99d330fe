from __future__ import annotations

import pytest

from tests.integration.security.origin import Internet


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    return Internet(monkeypatch)
