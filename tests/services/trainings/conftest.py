"""An installation whose trainings are stand-ins."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.services.rig import Rig
from tests.services.trainings.begun import start


@pytest.fixture(scope="module")
def start_worker() -> Callable[[Rig], int]:
    return start


@pytest.fixture
def training(working: Rig) -> Rig:
    return working
