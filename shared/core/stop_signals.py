"""Stop signals set an event instead of interrupting whatever line happens to run, a database's commit too."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_signals(event: threading.Event, *numbers: signal.Signals) -> Iterator[threading.Event]:
    """Have these signals set ``event``. A second SIGINT interrupts at once. Only the main thread hears signals."""
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if event.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
