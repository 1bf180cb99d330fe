"""Talking to a Counterdub server: one place for keys, patience and errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from services.cli.serve.listen_address import is_loopback
from shared.core.errors import CounterdubError, StorageError, UsageError

log = logging.getLogger(__name__)
T = TypeVar("T")

TIMEOUT = httpx2.Timeout(60, connect=10)
"""The server sends something on every stream at least every 15 s."""
PATIENCE_S = 60.0
"""For a server that was there once and is away: long enough for a restart."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0


class Server:
    """A server's REST interface.

    Args:
        url: ``http://127.0.0.1:8000``.
        key: API key, where the server wants one.

    Raises:
        UsageError: ``bad_url``.
    """

    def __init__(self, url: str, key: str | None = None, patience_s: float = PATIENCE_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"“{url}” is no address of a server, such as http://127.0.0.1:8000.", code="bad_url")
        self.url = url.rstrip("/")
        self.patience_s = patience_s
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A proxy does not lead to our own machine.
        self.http = httpx2.Client(
            base_url=self.url, headers=headers, timeout=TIMEOUT, trust_env=not is_loopback(parts.hostname)
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def call(
        self, method: str, path: str, make: Callable[[], Mapping[str, Any]] = dict, **fixed: Any
    ) -> httpx2.Response:
        """One request, tried again while the server is away or busy.

        Args:
            make: Makes what has to be made anew for each try, such as what reads a file.
            fixed: The rest of ``httpx2``'s arguments.

        Raises:
            CounterdubError: What the server says is wrong, or ``server_away``.
        """

        def ask() -> httpx2.Response:
            response = self.http.request(method, path, **fixed, **make())
            raise_problem(response)
            return response

        return self.patiently(ask)

    def items(self, path: str) -> Iterator[dict[str, Any]]:
        """All items of a list that comes in pages."""
        cursor: dict[str, Any] = {}
        while True:
            page = self.call("GET", path, params={"limit": 500, **cursor}).json()
            yield from page["items"]
            if not page.get("next"):
                return
            cursor = {"cursor": page["next"]}

    def patiently(self, action: Callable[[], T], patience: Patience | None = None) -> T:
        """Do something until it goes well. ``patience`` may be renewed from within, by whatever gets somewhere."""
        patience = patience or Patience(self)
        while True:
            try:
                return action()
            except httpx2.TransportError as error:
                patience.bear(error)
            except CounterdubError as error:
                if not error.retryable:
                    raise
                patience.bear(error)


class Patience:
    """How long a server that is away is waited for."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.renew()

    def renew(self) -> None:
        """It answers: count from now."""
        self._deadline = time.monotonic() + self._server.patience_s
        self._pause = FIRST_PAUSE_S

    def bear(self, error: Exception) -> None:
        """Wait a little.

        Raises:
            CounterdubError: The error, once patience has ended.
        """
        if time.monotonic() + self._pause > self._deadline:
            if isinstance(error, CounterdubError):
                raise error
            raise StorageError(
                f"The server {self._server.url} does not answer. Start it with `counterdub serve`, or check --url.",
                code="server_away",
                retryable=True,
            ) from error
        log.info("%s does not answer (%s); trying again", self._server.url, type(error).__name__)
        time.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S)


def raise_problem(response: httpx2.Response) -> None:
    """Turn a refusal into the error it tells of (RFC 9457), or that of whatever stands before the server.

    Raises:
        UsageError: The request is wrong (4xx).
        StorageError: The server cannot do it (5xx).
    """
    if response.is_success:
        return
    response.read()
    kind = UsageError if response.status_code < 500 else StorageError
    again = response.status_code in (502, 503, 504)
    try:
        problem = response.json()
        code, message = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError) as error:
        status = f"{response.status_code} {response.reason_phrase}"
        raise kind(
            f"What answers at this address is no Counterdub server, or something before it refuses: {status}.",
            code="server_refused",
            retryable=again,
        ) from error
    retryable = again or bool(problem.get("retryable"))
    raise kind(message, code=code, stage=problem.get("stage"), retryable=retryable, **(problem.get("details") or {}))


def path_of(url: str) -> str:
    """Path and query of an address that a server gave: the key is never sent to another server."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
