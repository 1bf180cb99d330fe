"""An installation whose trainings are stand-ins."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.queue.rig import Rig
from tests.integration.queue.trainings.begun import start


@pytest.fixture(scope="module")
def start_worker() -> Callable[[Rig], int]:
    return start


@pytest.fixture
def training(working: Rig) -> Rig:
    return working
