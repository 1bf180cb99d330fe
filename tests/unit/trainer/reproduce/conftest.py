from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.trainer.reproduce.made import world


@pytest.fixture(scope="session")
def made_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world(tmp_path_factory.mktemp("cinema") / "world")
