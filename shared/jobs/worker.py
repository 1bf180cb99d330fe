"""``counterdub worker``: keeps its processes running, and watches for what stands still."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

from sqlalchemy import select

from shared.errors import CounterdubError
from shared.jobs.database import Database
from shared.jobs.reaping import Watch
from shared.jobs.settings import ServiceSettings
from shared.jobs.tables import Worker
from shared.jobs.wakeups import Waker
from shared.store import Store

log = logging.getLogger(__name__)

CHILD = (sys.executable, "-m", "shared.jobs.child")
KILL_AFTER_S = 15.0
"""A process that outlives its soft shutdown by this is killed."""


class Processes:
    """Worker processes that are started again when they die."""

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command = list(command)
        self._running: list[subprocess.Popen[bytes]] = []
        self._count = count
        self._not_before = 0.0
        self._pause = 0.5

    def keep(self) -> None:
        """Start what is missing; one that dies again and again is started ever more slowly, up to 30 s."""
        moment = time.monotonic()
        for process in list(self._running):
            if process.poll() is not None:
                log.warning("worker process ended with %s", process.returncode)
                self._running.remove(process)
                self._not_before = moment + self._pause
                self._pause = min(self._pause * 2, 30.0)
        if len(self._running) == self._count and moment > self._not_before + 60:
            self._pause = 0.5
        while len(self._running) < self._count and moment >= self._not_before:
            self._running.append(subprocess.Popen(self._command, start_new_session=True))

    def stop(self, within: float) -> None:
        """Ask them to end, then make them."""
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + within
        for process in self._running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        for process in self._running:
            process.kill()


def run_worker(
    queues: Sequence[str], concurrency: int, settings: ServiceSettings, child: Sequence[str] = CHILD
) -> None:
    """Serve queues until told to stop (SIGTERM, SIGINT); a second signal ends the processes at once.

    Args:
        concurrency: Processes; each loads its own engines.
        child: Command of one process.
    """
    stopping = threading.Event()
    processes = Processes([*child, "--queues", ",".join(queues)], concurrency)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            processes.kill()
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    database = Database(settings.sqlalchemy_url())
    waker = Waker(settings.broker_url.get_secret_value())
    watch = Watch(database, Store(settings.store(), settings.store_cache), settings, tuple(queues))
    tick = max(0.1, settings.heartbeat_s * 0.2)
    next_look = 0.0
    try:
        while not stopping.wait(min(tick, 0.5)):
            processes.keep()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + tick
                look(watch, waker)
    finally:
        processes.stop(settings.soft_shutdown_s + KILL_AFTER_S)
        database.close()


def look(watch: Watch, waker: Waker) -> None:
    """One round of the watch; what is away now is asked again in the next."""
    try:
        waker.wake(watch.look(waker.queued))
    except CounterdubError as error:
        if not error.retryable:
            raise
        log.warning("watch: %s", error.code)


def check_worker(settings: ServiceSettings) -> bool:
    """Whether a worker of this host beats: for health checks. Takes two thirds of a heartbeat."""

    def beats() -> dict[str, int]:
        here = select(Worker.id, Worker.beat).where(Worker.host == socket.gethostname(), Worker.state == "alive")
        with database.read() as session:
            return dict(session.execute(here).all())

    database = Database(settings.sqlalchemy_url())
    try:
        before = beats()
        time.sleep(settings.heartbeat_s * 2 / 3)
        return any(beat > before.get(worker, beat) for worker, beat in beats().items())
    finally:
        database.close()
