"""``counterdub serve``: API, workers, broker and database on one machine, by one command and with nothing installed."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import console, say_json

if TYPE_CHECKING:
    from services.cli.serve.supervisor import Child
    from shared.queue.service_settings import ServiceSettings

log = logging.getLogger(__name__)

ENGINE_QUEUES = tuple(
    f"{service}{card}" for service in ("separation", "transcription", "translation", "dubbing") for card in ("", "-gpu")
)
"""What there is of cards and engines on torch, every process of this machine has."""
MEDIA_QUEUES = ("ingest", "pairing", "fetch")
TRAINER_QUEUES = ("trainer",)
"""On its own: a training may take days."""


def serve(
    data: Annotated[Path, typer.Option(help="Folder for database, store and uploads.")] = Path("counterdub-data"),
    host: Annotated[str, typer.Option(help="Address to listen on. Others than loopback need API keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes with engines, about 4 GB each; by cores and memory if not given."),
    ] = None,
    media_jobs: Annotated[int | None, typer.Option(min=1, help="Processes that cut, join and encode.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object when ready.")] = False,
) -> None:
    """Serve everything from this machine: REST interface, workers, queue and database.

    Ctrl-C stops in order: running tasks are finished or given back. A second one stops at once. Finished work is kept.
    """
    with with_extra("serve", json):
        from services.cli.serve.machine import engine_processes, media_processes, this_machine
        from services.cli.serve.supervisor import Supervisor
        from shared.ledger import migrate
        from shared.observability.logging import set_up_logging
        from shared.queue.service_settings import ServiceSettings

        set_up_logging("serve")
        folder = data.absolute()
        settings = ServiceSettings(data=folder)
        with only_one(folder), listening_on(host, port, settings) as (listening, url, env):
            migrate.upgrade(settings.sqlalchemy_url())
            machine = this_machine()
            children = layout(
                folder,
                listening,
                jobs or engine_processes(machine),
                media_jobs or media_processes(machine),
                {**env, "COUNTERDUB_DATA": str(folder)},
                settings,
            )

            if env["COUNTERDUB_REQUIRE_KEYS"] == "true" and not has_keys(settings):
                log.warning("nobody has an API key yet; make one: counterdub keys create NAME --data %s", folder.name)

            def announce() -> None:
                if json:
                    say_json({"url": url, "data": str(folder), "pid": os.getpid()})
                    sys.stdout.flush()
                else:
                    console.print(f"counterdub is ready: {url}  (data in {folder})", highlight=False, soft_wrap=True)

            Supervisor(children, lambda: answers(url), announce, listening.close).run()


def layout(
    folder: Path,
    listening: socket.socket,
    engines: int,
    media: int,
    env: dict[str, str],
    settings: ServiceSettings,
) -> list[Child]:
    """Which processes there are."""
    from services.cli.serve.broker import embedded_broker
    from services.cli.serve.supervisor import Child

    children = []
    if "COUNTERDUB_BROKER_URL" not in os.environ:
        broker, url = embedded_broker(folder / "broker")
        env = {**env, "COUNTERDUB_BROKER_URL": url}
        children.append(broker)

    def own(name: str, *arguments: str, grace_s: float, inherit: tuple[int, ...] = ()) -> Child:
        command = [sys.executable, "-P", "-m", "services.cli", *arguments]
        return Child(name, command, {**env, "COUNTERDUB_PROCESS": name}, grace_s=grace_s, inherit=inherit)

    fd = listening.fileno()
    children.append(own("api", "api", "--host", listening.getsockname()[0], "--fd", str(fd), grace_s=30, inherit=(fd,)))
    kinds = ("media", media, MEDIA_QUEUES), ("engines", engines, ENGINE_QUEUES), ("trainer", 1, TRAINER_QUEUES)
    for kind, number, queues in kinds:
        for index in range(1, number + 1):
            name = f"{kind}-{index}"
            children.append(own(name, "worker", "--queues", ",".join(queues), grace_s=settings.soft_shutdown_s + 15))
    return children


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep a second ``serve`` out of the folder.

    Raises:
        StorageError: ``already_served``; ``not_writable`` and the like.
    """
    from filelock import FileLock, Timeout

    from shared.core.errors import StorageError
    from shared.core.storage_errors import storage_errors

    lock = FileLock(folder / "serve.lock")
    with storage_errors("the data folder"):
        # Other people's videos and keys will be in it.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StorageError(
                f"Another counterdub serve uses {folder.name} already. Stop it or choose another --data.",
                code="already_served",
            ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def listening_on(
    host: str, port: int, settings: ServiceSettings
) -> Iterator[tuple[socket.socket, str, dict[str, str]]]:
    """The API's socket, its URL, and what the API is told about keys. Open before anything is started."""
    from services.cli.serve.listen_address import address, keys_required, listen

    env = {"COUNTERDUB_REQUIRE_KEYS": str(keys_required(host, settings)).lower()}
    with listen(host, port) as listening:
        yield listening, address(listening), env


def has_keys(settings: ServiceSettings) -> bool:
    from sqlalchemy import select

    from shared.ledger.database import Database
    from shared.ledger.tables import ApiKey

    database = Database(settings.sqlalchemy_url())
    with database.read() as session:
        first = session.scalar(select(ApiKey.id).where(ApiKey.revoked.is_(None)).limit(1))
    database.close()
    return first is not None


def answers(url: str) -> bool:
    """Whether the API says that all it needs is there."""
    import httpx2

    try:
        return httpx2.get(f"{url}/readyz", timeout=1).is_success
    except httpx2.HTTPError:
        return False
