"""What a connection may take: time for a request's head, time to take an answer, memory of what is not taken.

uvicorn limits how long a connection may rest between two requests, and nothing else. How fast a body must come is
:mod:`services.api.http.body_rate`'s, since only whoever reads it knows when it waits.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import h11
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.api.http.problems import phrase, problem
from shared.queue.service_settings import ServiceSettings

PROBES = ("/healthz", "/readyz")
SPARE = 64
"""Connections beyond the cap on which probes are answered, and others told that there are too many."""
OTHER_FILES = 256
"""Open files that are no connections: the database's, the store's, uploads."""
HIGH_WATER = 2**15
"""Bytes that wait for a client before whoever writes more has to wait: less than a piece of a file, so that no second
one is written behind it."""
TICK_S = 1.0
YOUNG_S = 1.0
"""Whoever has taken nothing for less is not yet let go for the memory that they hold."""

log = logging.getLogger(__name__)


class ConnectionWatch:
    """Looks at all connections once a tick and ends those that wait too long, whatever they wait for.

    Args:
        settings: ``header_timeout_s``, ``stall_timeout_s``, ``min_bytes_per_s``, ``max_unsent_bytes``.
        most: Connections at once.
    """

    def __init__(self, settings: ServiceSettings, most: int) -> None:
        self.settings, self.most = settings, most
        self.open: set[WatchedProtocol] = set()
        self._tick_s = min(TICK_S, settings.header_timeout_s / 4, settings.stall_timeout_s / 4)
        self._ticking = False

    def add(self, protocol: WatchedProtocol) -> None:
        self.open.add(protocol)
        if not self._ticking:
            self._ticking = True
            protocol.loop.call_later(self._tick_s, self._look, protocol.loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        for protocol in list(self.open):
            protocol.look(now)
        self._free(now)
        self._ticking = bool(self.open)
        if self._ticking:
            loop.call_later(self._tick_s, self._look, loop)

    def _free(self, now: float) -> None:
        """Hang up on those who have taken nothing for longest, until what waits for the others has room."""
        waiting = [protocol for protocol in self.open if protocol.unsent]
        total = sum(protocol.unsent for protocol in waiting)
        for protocol in sorted(waiting, key=lambda one: one.stuck_since):
            if total <= self.settings.max_unsent_bytes or now - protocol.stuck_since < YOUNG_S:
                return
            total -= protocol.unsent
            protocol.transport.abort()


class WatchedProtocol(H11Protocol):
    """A connection that its client cannot hold by being slow.

    Attributes:
        unsent: Bytes of answers that the client had not taken at the last look.
        stuck_since: When it last was seen to take some (monotonic).
    """

    def __init__(self, watch: ConnectionWatch, **parts: Any) -> None:
        super().__init__(**parts)
        self._watch = watch
        self._head_since: float | None = None
        self._heard = False
        self._mark = 0
        self.unsent, self.stuck_since = 0, 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        there = len(self._watch.open)
        self._watch.add(self)
        self._head_since = time.monotonic()
        transport.set_write_buffer_limits(HIGH_WATER)
        if there >= self._watch.most + SPARE:
            self._refuse(503)
        elif there >= self._watch.most:
            self.app = partial(crowded, self.app)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_since = None
        elif self._head_since is None:
            self._head_since = time.monotonic()

    def on_response_complete(self) -> None:
        self._head_since, self._heard = None, False
        super().on_response_complete()

    def resume_writing(self) -> None:
        self._mark = 0
        super().resume_writing()

    def look(self, now: float) -> None:
        """End it if its client is too slow."""
        settings = self._watch.settings
        if self._head_since is not None and now - self._head_since > settings.header_timeout_s:
            self._head_since = None
            self._refuse(408)
        self.unsent = self.transport.get_write_buffer_size()
        if not self.unsent:
            self._mark = 0
        elif not self._mark:
            self._mark, self.stuck_since = self.unsent, now
        elif (waited := now - self.stuck_since) > settings.stall_timeout_s:
            if self._mark - self.unsent < waited * settings.min_bytes_per_s:
                self.transport.abort()
            else:
                self._mark, self.stuck_since = self.unsent, now

    def _refuse(self, status: int) -> None:
        """Say why, if somebody asks, and hang up."""
        if self.transport.is_closing():
            return
        if (self._heard or status != 408) and self.conn.our_state is h11.IDLE:
            answer = REFUSALS[status]()
            headers = [*answer.raw_headers, (b"connection", b"close")]
            for event in (
                h11.Response(status_code=status, headers=headers, reason=phrase(status).encode()),
                h11.Data(data=answer.body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


REFUSALS: dict[int, Callable[[], Any]] = {
    408: lambda: problem(408, "request_timeout", "The request's head did not come in time.", retryable=True),
    503: lambda: problem(503, "too_many_connections", "The server has too many open connections.", retryable=True),
}


async def crowded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Only probes are answered: an orchestrator must not take a full server for a dead one."""
    if scope["type"] != "http" or Request(scope).url.path not in PROBES:
        app = REFUSALS[503]()

    async def closing(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    await app(scope, receive, closing)


def protocol_for(settings: ServiceSettings) -> Callable[..., WatchedProtocol]:
    """What uvicorn makes of each connection."""
    return partial(WatchedProtocol, ConnectionWatch(settings, room_for(settings.max_connections)))


def room_for(most: int) -> int:
    """``most`` connections, or as many as this process may open files for. Raises its soft limit where that helps."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + SPARE + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            most = max(1, soft - SPARE - OTHER_FILES)
            log.warning("only %d connections at once: the limit of open files is %d", most, soft)
    return most
