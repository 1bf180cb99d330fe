"""HTTP to addresses that strangers name: only to the public internet, decided where the connection is made.

A name is looked up once, what it stands for is checked, and the connection goes to that very address: a name that
points elsewhere at the next look-up (DNS rebinding) gains nothing. Redirects are not followed, proxies and credentials
of the environment are not used, and nothing of a URL but its host is ever logged.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterable

import httpx2

from shared.core.errors import UsageError

WEB_PORTS = (80, 443)
FIRST_FREE_PORT = 1024
"""Below are the ports of mail, name and file servers: nobody serves videos there."""

CONNECT_S = 10.0

_INTERNET_6 = ipaddress.ip_network("2000::/3")
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        # Protocol assignments, relays and a cloud's own services that count as global or do so in some Pythons.
        *("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32"),
        # Teredo and other assignments, 6to4, documentation: IPv6 that stands for, or is led through, something else.
        *("2001::/23", "2002::/16", "2001:db8::/32", "3fff::/20"),
    )
)

# These libraries log every URL with its query and credentials.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet's own.

    Not so are loopback, link-local, private, shared (CGNAT), multicast, reserved and unspecified addresses, and IPv6
    that carries an IPv4 address within (mapped, 6to4, Teredo, NAT64).
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and (ip.scope_id or ip not in _INTERNET_6):
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in special for special in _SPECIAL)


def check_url(url: str, private_hosts: Iterable[str] = ()) -> httpx2.URL:
    """What can be said of a URL without looking its name up; the rest is checked at the connection.

    Args:
        private_hosts: Names (``host`` or ``host:port``) that may be used whatever they stand for.

    Raises:
        UsageError: ``url_not_allowed``. The message names nothing of the URL.
    """
    try:
        parsed = httpx2.URL(url)
        port = parsed.port
    except (httpx2.InvalidURL, ValueError, TypeError) as error:
        raise not_allowed("It is not a valid URL.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise not_allowed("It must begin with http:// or https:// and name a host.")
    if trusted(parsed, private_hosts):
        return parsed
    if port is not None and port not in WEB_PORTS and not FIRST_FREE_PORT <= port < 2**16:
        raise not_allowed("Its port is none that websites use.")
    host = parsed.host.rstrip(".")
    if "." not in host and ":" not in host:
        raise not_allowed("Its host must be a full name on the public internet.")
    if looks_like_address(host) and not is_public(host):
        raise not_allowed("Its host is not on the public internet.")
    return parsed


def client(private_hosts: Iterable[str] = (), idle_s: float = 30.0) -> httpx2.AsyncClient:
    """A client that reaches public addresses and ``private_hosts`` only; it follows no redirects.

    Requests raise ``UsageError`` (``url_not_allowed``) where :func:`check_url` does or the host's name stands for an
    address that is not public, and ``httpx2.TransportError`` for everything that goes wrong on the way.
    """
    return httpx2.AsyncClient(
        transport=PublicTransport(private_hosts),
        timeout=httpx2.Timeout(idle_s, connect=CONNECT_S),
        follow_redirects=False,
        trust_env=False,
    )


class PublicTransport(httpx2.AsyncHTTPTransport):
    """Looks a host up, checks every address it has, and connects to one of them and no other."""

    def __init__(self, private_hosts: Iterable[str] = ()) -> None:
        # No connection is used twice: one to an address could serve another name of the same address.
        super().__init__(trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))
        self._private_hosts = tuple(private_hosts)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = check_url(str(request.url), self._private_hosts)
        host = url.raw_host.decode("ascii")
        addresses = await look_up(host)
        if not trusted(url, self._private_hosts) and not all(map(is_public, addresses)):
            raise not_allowed("Its host is not on the public internet.")
        # The name stays in the Host header and is what the certificate is checked against.
        if not looks_like_address(host):
            request.extensions = {**request.extensions, "sni_hostname": host}
        for address in addresses[:-1]:
            try:
                return await self._send(request, url, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._send(request, url, addresses[-1])

    async def _send(self, request: httpx2.Request, url: httpx2.URL, address: str) -> httpx2.Response:
        request.url = url.copy_with(host=address)
        try:
            return await super().handle_async_request(request)
        finally:
            request.url = url


async def look_up(host: str) -> list[str]:
    """Addresses of a host, in the system's order of preference."""
    try:
        async with asyncio.timeout(CONNECT_S):
            entries = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx2.ConnectError("The host's name cannot be resolved.") from error
    except TimeoutError as error:
        raise httpx2.ConnectTimeout("The host's name is not resolved in time.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def trusted(url: httpx2.URL, private_hosts: Iterable[str]) -> bool:
    port = url.port or WEB_PORTS[url.scheme == "https"]
    names = {host.lower() for host in private_hosts}
    return url.host.lower() in names or f"{url.host.lower()}:{port}" in names


def looks_like_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def not_allowed(why: str) -> UsageError:
    return UsageError(f"This URL may not be used. {why}", code="url_not_allowed")
