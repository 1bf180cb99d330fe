"""An installation whose trainings are stand-ins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.conftest import KINDS, database_url, valkey_server
from tests.services.nursery import Nursery
from tests.services.rig import Rig
from tests.services.trainings.begun import start


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[Rig]:
    """The module's installation; the trainings of its worker are stand-ins."""
    folder = tmp_path_factory.mktemp("served")
    url = database_url(request.param, folder, lambda: request.getfixturevalue("postgres"))
    with valkey_server(folder / "valkey") as broker:
        found = Rig(folder, url, f"redis://127.0.0.1:{broker.port}/0", nursery)
        start(found)
        yield found
        found.close()


@pytest.fixture
def training(working: Rig) -> Rig:
    return working
