"""Where the API listens, and what that asks of its callers."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from shared.core.errors import UsageError

if TYPE_CHECKING:
    from shared.queue.service_settings import ServiceSettings


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def keys_required(host: str, settings: ServiceSettings) -> bool:
    """Whether callers need an API key.

    Raises:
        UsageError: ``keys_required``: they were said not to, but others than this machine could call.
    """
    if is_loopback(host):
        return bool(settings.require_keys)
    if settings.require_keys is False:
        raise UsageError(
            f"{host} can be reached from other machines, so callers need keys. Remove COUNTERDUB_REQUIRE_KEYS or use "
            "--host 127.0.0.1.",
            code="keys_required",
        )
    return True


def listen(host: str, port: int) -> socket.socket:
    """A socket that others can connect to from now on.

    Args:
        port: 0 for any free one.

    Raises:
        UsageError: ``cannot_listen``: the port is taken, or the address is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
        # Connections inherit it; without, an answer in two writes waits 40 ms for the other side's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --host and --port.",
            code="cannot_listen",
        ) from error


def address(listening: socket.socket) -> str:
    """The URL for a browser on this machine."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
