"""Starts worker processes by forking one that has loaded everything: no test waits for imports.

``python -m tests.integration.queue.nursery`` reads orders (JSON lines: environment, queues, concurrency) and answers
each with the id of a process that is what ``counterdub worker`` is, with null stages.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, cast

import celery.apps.worker
import celery.concurrency.solo
import celery.worker.worker  # noqa: F401
import kombu.transport.redis  # noqa: F401
import psycopg  # noqa: F401

from shared.queue import celery_app
from shared.queue.service_settings import service_settings
from shared.queue.worker import process, supervisor
from tests.integration.queue import nulls


class Nursery:
    """The test's side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.queue.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()

    def start(self, **order: Any) -> int:
        """Process id of a new worker."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


class Forked:
    """Stands for ``subprocess.Popen`` where worker processes are started."""

    def __init__(self, command: list[str]) -> None:
        self.returncode: int | None = None

        def work() -> None:
            sys.argv = ["worker process", *command[command.index("--queues") :]]
            celery_app.create_celery.cache_clear()
            process.main()

        self.pid = forked(work)

    def poll(self) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, seconds: float | None = None) -> int:
        pause = threading.Event()
        for _ in range(int((seconds or 60.0) / 0.02) + 1):
            if (code := self.poll()) is not None:
                return code
            pause.wait(0.02)
        raise subprocess.TimeoutExpired("worker process", seconds or 60.0)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def forked(body: Callable[[], object]) -> int:
    """Run ``body`` in a process and a session of its own."""
    if pid := os.fork():
        return pid
    end(body)


def end(body: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        body()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0
    except BaseException:
        logging.exception("a worker of the tests ended")
    finally:
        os._exit(code)


def supervise(order: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(order["environment"])
    os.dup2(2, 1)
    nulls.install()
    nulls.shake_clocks()
    supervisor.FIRST_PAUSE_S = supervisor.LONGEST_PAUSE_S = 0.05
    real = subprocess.Popen

    def popen(command: list[str], **more: Any) -> Any:
        """Worker processes are forked; what tasks start is started."""
        return Forked(command) if "--queues" in command else real(command, **more)

    cast(Any, subprocess).Popen = popen
    supervisor.run_worker(order["queues"], order["concurrency"], service_settings())


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(process)d %(name)s: %(message)s")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        print(forked(partial(supervise, order)), flush=True)


if __name__ == "__main__":
    main()
