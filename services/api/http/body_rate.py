"""How fast a body must come: a minimum rate, so that a large upload may take its time and a trickle may not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from services.api.http.problems import Refused
from shared.queue.service_settings import ServiceSettings

T = TypeVar("T")


class TooSlow(Exception):
    """The body stands still, or trickles."""


class Pace:
    """Counts the seconds in which a body was waited for, and the bytes that came meanwhile.

    A body may be waited for ``stall_timeout_s`` at once, and in all so long and a second more for every
    ``min_bytes_per_s`` bytes. What the server itself does in between is not counted.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._waited = 0.0
        self._came = 0

    async def next(self, coming: Awaitable[T], size: Callable[[T], int]) -> T:
        """The next piece.

        Raises:
            TooSlow: It did not come in time.
        """
        limit = self._settings.stall_timeout_s
        left = limit + self._came / self._settings.min_bytes_per_s - self._waited
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(limit, max(left, 0.0))):
                piece = await coming
        except TimeoutError as error:
            raise TooSlow from error
        self._waited += time.monotonic() - began
        self._came += size(piece)
        return piece


async def paced(stream: AsyncIterator[bytes], settings: ServiceSettings) -> AsyncIterator[bytes]:
    """The pieces of an upload's body.

    Raises:
        Refused: ``upload_stalled`` (408).
    """
    pace = Pace(settings)
    while True:
        try:
            chunk = await pace.next(anext(stream, None), lambda piece: len(piece or b""))
        except TooSlow as error:
            raise Refused(
                408,
                "upload_stalled",
                f"The body stood still for {settings.stall_timeout_s:.0f} s, or came at less than "
                f"{settings.min_bytes_per_s} bytes a second.",
                retryable=True,
            ) from error
        if chunk is None:
            return
        yield chunk
