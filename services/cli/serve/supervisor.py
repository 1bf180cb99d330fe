"""Child processes that are kept running until told to stop.

The first SIGTERM or SIGINT stops them in order (those marked ``last`` after all others), the second at once. Every
child leads a session of its own: a Ctrl-C reaches only us, and what a child leaves behind can be ended with it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from services.cli.serve.processes import adopt_orphans, end_with_parent, kill_orphans
from shared.core.errors import EngineError

log = logging.getLogger(__name__)

LONGEST_DELAY_S = 30.0
SETTLED_S = 60.0
"""A child that ran so long starts again without delay."""
HOPELESS = 5
"""So many quick ends in a row before the whole was ever ready: it never will be."""
TICK_S = 0.1


@dataclass
class Child:
    """A command to keep running."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    inherit: Sequence[int] = ()
    """File descriptors that it is given."""
    grace_s: float = 10.0
    """From being told to stop until it is killed."""
    last: bool = False
    """Stopped after the others."""
    process: subprocess.Popen[bytes] | None = None
    ends: int = 0
    began: float = 0.0
    again: float = 0.0


class Supervisor:
    """Keeps children running.

    Args:
        children: In the order in which they are started.
        ready: Asked until it says yes.
        on_ready: Called once then.
        on_stop: Called before any child is told to stop.
    """

    def __init__(
        self,
        children: Sequence[Child],
        ready: Callable[[], bool],
        on_ready: Callable[[], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._children = children
        self._ready = ready
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._signals = 0
        self._woken = threading.Event()

    def run(self) -> None:
        """Until told to stop.

        Raises:
            EngineError: ``service_failed``: a child ends again and again before all were ready.
        """
        adopt_orphans()
        before = {number: signal.signal(number, self._told) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for child in self._children:
                self._start(child)
            self._watch()
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, _number: int, _frame: object) -> None:
        self._signals += 1
        self._woken.set()

    def _watch(self) -> None:
        is_ready = False
        while not self._signals:
            for child in self._children:
                self._look_after(child, is_ready)
            if not is_ready and self._ready():
                is_ready = True
                self._on_ready()
            self._woken.wait(TICK_S)

    def _look_after(self, child: Child, is_ready: bool) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.again:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        self._end(child)
        child.ends = 1 if now - child.began > SETTLED_S else child.ends + 1
        if child.ends >= HOPELESS and not is_ready:
            raise EngineError(
                f"The process “{child.name}” ended {HOPELESS} times before it was ready. The log above says why.",
                code="service_failed",
                process=child.name,
            )
        delay = 0.0 if child.ends == 1 else min(2.0 ** (child.ends - 2), LONGEST_DELAY_S)
        log.warning("%s ended (%s) and is started again in %.0f s", child.name, code, delay)
        child.again = now + delay

    def _start(self, child: Child) -> None:
        child.began = time.monotonic()
        child.process = subprocess.Popen(
            list(child.command),
            env={**os.environ, **child.env},
            # What is said on standard output is ours.
            stdout=sys.stderr.fileno(),
            stdin=subprocess.DEVNULL if child.stdin is None else subprocess.PIPE,
            pass_fds=tuple(child.inherit),
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - see there
        )
        if child.stdin is not None and child.process.stdin is not None:
            child.process.stdin.write(child.stdin)
            child.process.stdin.close()
        log.info("%s started, process %d", child.name, child.process.pid)

    def _stop(self) -> None:
        log.info("stopping")
        self._on_stop()
        for last in (False, True):
            children = [child for child in self._children if child.last == last and child.process is not None]
            began = time.monotonic()
            for child in children:
                if child.process:
                    child.process.terminate()
            while children and self._signals < 2:
                for child in children:
                    if time.monotonic() - began > child.grace_s:
                        log.warning("%s did not stop in %.0f s and is killed", child.name, child.grace_s)
                        _kill(child)
                children = [child for child in children if child.process and child.process.poll() is None]
                self._woken.clear()
                self._woken.wait(TICK_S)
        for child in self._children:
            self._end(child)
        log.info("stopped")

    def _end(self, child: Child) -> None:
        """Nothing of the child is left after this."""
        if child.process is not None:
            _kill(child)
            child.process.wait()
            child.process = None
            kill_orphans({other.process.pid for other in self._children if other.process})


def _kill(child: Child) -> None:
    """The child and whatever it started."""
    if child.process is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
