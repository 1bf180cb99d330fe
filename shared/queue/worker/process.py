"""A worker process: a Celery consumer around a Runner; solo pool, since engines live in the process that uses them."""

from __future__ import annotations

import argparse
import logging
import os
import threading
from pathlib import Path
from typing import Any

from celery.signals import setup_logging, worker_shutting_down

from shared.observability.logging import set_up_logging
from shared.observability.tracing import set_up_tracing
from shared.queue.celery_app import WORK, Waker
from shared.queue.service_settings import service_settings
from shared.queue.worker.task_execution import Runner

log = logging.getLogger(__name__)

UNBOOKED = 71
"""Exit code of a process that could not write down how a task ended."""


def serve(
    queues: tuple[str, ...], worker: str | None = None, parent: int | None = None, pulse: Path | None = None
) -> None:
    """Work until told to stop: SIGTERM lets the task in hand end, for ``soft_shutdown_s`` at most."""
    settings = service_settings()
    waker = Waker(settings.broker_url.get_secret_value())
    runner = Runner(settings, queues, waker, worker)
    runner.heartbeat.parent, runner.heartbeat.pulse = parent, pulse

    @waker.app.task(name=WORK, bind=True)  # type: ignore[untyped-decorator]  # Celery has no types
    def work(self: Any) -> None:
        try:
            runner.work(self.request.delivery_info["routing_key"])
        except Exception:
            # As long as this process lives the task counts as being worked on.
            log.exception("a task could not be booked; this process ends so that another one does it")
            os._exit(UNBOOKED)

    def shutting_down(**_: Any) -> None:
        runner.stopping.set()
        timer = threading.Timer(settings.soft_shutdown_s, runner.give_up)
        timer.daemon = True
        timer.start()

    def as_it_is(**_: Any) -> None:
        """Whoever listens keeps Celery from setting up logging of its own."""

    setup_logging.connect(as_it_is, weak=False)
    worker_shutting_down.connect(shutting_down, weak=False)
    runner.start()
    try:
        consumer = waker.app.Worker(
            pool="solo",
            queues=list(queues),
            loglevel="WARNING",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        consumer.start()
    finally:
        runner.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="counterdub worker process")
    parser.add_argument("--queues", required=True)
    parser.add_argument("--worker", help="id of its row in the database")
    parser.add_argument("--parent", type=int, help="process without which this one stops")
    parser.add_argument("--pulse", type=Path, help="file to touch as long as it lives")
    given = parser.parse_args()
    set_up_logging("worker")
    set_up_tracing("worker")
    serve(tuple(given.queues.split(",")), given.worker, given.parent, given.pulse)


if __name__ == "__main__":
    main()
