"""Supervisor of a worker (``counterdub worker``): restarts its processes, checks their liveness, runs the watchdog."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from sqlalchemy import select, update

from shared.core.errors import CounterdubError
from shared.core.store import Store
from shared.ledger.database import Database
from shared.ledger.tables import Worker, new_id
from shared.queue.celery_app import Waker
from shared.queue.scheduling.store_sweep import sweep
from shared.queue.scheduling.watchdog import Watchdog
from shared.queue.service_settings import ServiceSettings
from shared.queue.worker.liveness import LivenessCheck

log = logging.getLogger(__name__)

CHILD = (sys.executable, "-m", "shared.queue.worker.process")
TICK = 0.15
"""Heartbeats between two looks of the watch: with :data:`LOST_AFTER` a lost worker is found within two heartbeats."""
LEFT_AFTER_S = 2 * 24 * 3600.0
"""Temporary files that nobody touched for so long were left by a process that was killed."""
SWEEP_EVERY_S = 6 * 3600.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Before a process that died is started again."""
KILL_AFTER_S = 15.0
"""A process that outlives its soft shutdown by this is killed."""


class WorkerProcesses:
    """Worker processes that are started again when they die.

    Args:
        pulses: A folder; each process touches a file of its own in it.
    """

    def __init__(self, command: Sequence[str], count: int, pulses: Path) -> None:
        self._command = list(command)
        self._pulses = pulses
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._count = count
        self._not_before = 0.0
        self._pause = FIRST_PAUSE_S

    def keep(self) -> list[str]:
        """Start what is missing; one that dies again and again is started ever more slowly.

        Returns:
            Ids of workers whose process has ended.
        """
        moment = time.monotonic()
        ended = [worker for worker, process in self._running.items() if process.poll() is not None]
        for worker in ended:
            log.warning("worker process ended with %s", self._running.pop(worker).returncode)
            (self._pulses / worker).unlink(missing_ok=True)
            self._not_before = moment + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        if len(self._running) == self._count and moment > self._not_before + 60:
            self._pause = FIRST_PAUSE_S
        while len(self._running) < self._count and moment >= self._not_before:
            worker = new_id("wrk")
            pulse = self._pulses / worker
            pulse.touch()
            command = [*self._command, "--worker", worker, "--parent", str(os.getpid()), "--pulse", str(pulse)]
            self._running[worker] = subprocess.Popen(command, start_new_session=True)
        return ended

    def alive(self) -> list[str]:
        """Ids of the workers whose process is there."""
        return [worker for worker, process in self._running.items() if process.poll() is None]

    def pulses(self) -> dict[str, Path]:
        """Worker → the file that its process touches."""
        return {worker: self._pulses / worker for worker in self.alive()}

    def end(self, worker: str) -> None:
        """End one at once, with all that it has started: it cannot be asked."""
        if worker in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running[worker].pid, signal.SIGKILL)

    def stop(self, within: float) -> None:
        """Ask them to end, then make them."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + within
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        for process in self._running.values():
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
    pulses = tempfile.TemporaryDirectory(prefix="counterdub-")
    processes = WorkerProcesses([*child, "--queues", ",".join(queues)], concurrency, Path(pulses.name))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            processes.kill()
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    database = Database(settings.sqlalchemy_url())
    waker = Waker(settings.broker_url.get_secret_value())
    store = settings.open_store()
    store.sweep(LEFT_AFTER_S)
    watch = Watchdog(database, store, settings, tuple(queues))
    liveness = LivenessCheck(database, store, settings)
    if settings.sweep_hours:
        sweeping = threading.Thread(target=keep_swept, args=(database, store, settings, stopping), daemon=True)
        sweeping.start()
    tick = settings.heartbeat_s * TICK
    next_look = next_beat = 0.0
    dead: list[str] = []
    try:
        while not stopping.wait(min(tick, 0.5)):
            dead += processes.keep()
            if dead or time.monotonic() >= next_look:
                next_look = time.monotonic() + tick
                look(watch, waker, dead)
                for worker in find_hung(liveness, processes):
                    log.error("worker process %s does not answer and is ended", worker)
                    processes.end(worker)
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + settings.heartbeat_s / 2
                beat_on_behalf(database, processes.alive())
    finally:
        processes.stop(settings.soft_shutdown_s + KILL_AFTER_S)
        database.close()
        pulses.cleanup()


def keep_swept(database: Database, store: Store, settings: ServiceSettings, stopping: threading.Event) -> None:
    """Now and then remove what nothing refers to any more. Any number may do so at once."""
    idle_s = settings.sweep_hours * 3600
    while not stopping.wait(min(idle_s / 4, SWEEP_EVERY_S)):
        try:
            sweep(database, store, idle_s)
        except CounterdubError as error:
            log.warning("the store is swept later: %s", error.code)
        except Exception:
            log.exception("the store could not be swept")


def find_hung(liveness: LivenessCheck, processes: WorkerProcesses) -> list[str]:
    """Workers whose process has to be ended."""
    hung = liveness.find_silent(processes.pulses())
    try:
        return hung + liveness.find_overdue(processes.alive())
    except CounterdubError as error:
        log.warning("nobody could be asked what runs: %s", error.code)
    except Exception:
        log.exception("what runs could not be looked at")
    return hung


def look(watch: Watchdog, waker: Waker, dead: list[str]) -> None:
    """One round of the watch; what is away now is asked again in the next. Whatever fails, the loop goes on.

    Args:
        dead: Workers that are known to have ended; those that were buried are taken off.
    """
    try:
        while dead:
            waker.wake(watch.mark_lost(dead[-1]))
            dead.pop()
        waker.wake(watch.look(waker.queued))
    except CounterdubError as error:
        log.warning("watch: %s", error.code)
    except Exception:
        # This process keeps others running: it must not end for something that it looks at.
        log.exception("the watch failed in this round")


def beat_on_behalf(database: Database, workers: list[str]) -> None:
    """Beat for processes that are there: a library that loads a model may keep every thread of its own from running."""
    try:
        with database.write() as session:
            there = Worker.id.in_(workers), Worker.state == "alive"
            session.execute(update(Worker).where(*there).values(beat=Worker.beat + 1))
    except CounterdubError as error:
        log.warning("no beat: %s", error.code)


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
