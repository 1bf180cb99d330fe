"""Iterators that run ahead in threads, each a few items, in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from shared.core.errors import Cancelled

T = TypeVar("T")

Check = Callable[[float], None]
"""To be called now and then, with the share that is done; raises ``Cancelled`` once nobody takes items any more."""

AHEAD = 4
"""Items that an iterator may be ahead of what is taken."""

END = object()


def ahead(makers: Sequence[Callable[[Check], Iterator[T]]], jobs: int) -> Generator[Iterator[T], None, None]:
    """The iterators that ``makers`` make, in order, up to ``jobs`` of them running at a time.

    Args:
        makers: Each is called in a thread.
        jobs: At least 1.

    Yields:
        An iterator for each maker; what it raises is raised where its items are taken. Close this one to stop them all.
    """
    stop = threading.Event()
    waiting = deque(makers)
    running: deque[queue.Queue[Any]] = deque()
    threads = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                items: queue.Queue[Any] = queue.Queue(AHEAD)
                thread = threading.Thread(
                    target=fill, args=(waiting.popleft(), items, stop), name="reader", daemon=True
                )
                thread.start()
                threads.append(thread)
                running.append(items)
            yield drain(running.popleft())
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def fill(make: Callable[[Check], Iterator[T]], items: queue.Queue[Any], stop: threading.Event) -> None:
    def check(_share: float = 0.0) -> None:
        if stop.is_set():
            raise Cancelled()

    def put(item: Any) -> None:
        while True:
            check()
            try:
                return items.put(item, timeout=0.2)
            except queue.Full:
                continue

    try:
        try:
            for item in make(check):
                put(item)
        except Exception as error:  # raised again where items are taken
            put(error)
        else:
            put(END)
    except Cancelled:
        return


def drain(items: queue.Queue[Any]) -> Iterator[Any]:
    while (item := items.get()) is not END:
        if isinstance(item, Exception):
            raise item
        yield item
