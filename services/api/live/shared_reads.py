"""Reads that many wait for are done once, and few at a time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from starlette.concurrency import run_in_threadpool

T = TypeVar("T")

AT_ONCE = 4
"""Reads of listeners leave most connections to the database to requests."""
KEPT = 64
"""Results that are kept, at most."""


class SharedReads:
    """Whoever asks for what is being read waits for that; a result may be kept for those who ask soon after."""

    def __init__(self) -> None:
        self._reading: dict[Hashable, asyncio.Task[Any]] = {}
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def get(self, key: Hashable, read: Callable[[], T], keep_s: Callable[[T], float]) -> T:
        """What ``read``, in a thread, returns.

        Args:
            key: The same for those who would read the same.
            keep_s: Seconds for which a result holds for others; 0 for those alone who wait for it already.
        """
        kept = self._kept.get(key)
        if kept and time.monotonic() < kept[0]:
            return cast("T", kept[1])
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(key, read, keep_s))
        # Whoever hangs up takes the result from nobody else.
        return cast("T", await asyncio.shield(task))

    async def _read(self, key: Hashable, read: Callable[[], Any], keep_s: Callable[[Any], float]) -> Any:
        try:
            async with self._room:
                value = await run_in_threadpool(read)
        finally:
            del self._reading[key]
        if (seconds := keep_s(value)) > 0:
            self._kept.pop(key, None)
            self._kept[key] = (time.monotonic() + seconds, value)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return value
