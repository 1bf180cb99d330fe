"""Prometheus metrics, counted in the database when they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from shared.ledger.database import Database
from shared.ledger.tables import FINAL, Delivery, Job, StageRun, Title, Worker

KEPT_S = 5.0


class Jobs(Collector):
    """All metrics of one moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        """One transaction, so that the figures fit together."""
        with self._database.read() as session:
            yield from of_queues(session)
            yield from of_stages(session)
            yield from of_jobs(session)


def of_queues(session: Session) -> Iterator[Metric]:
    queued = GaugeMetricFamily("counterdub_tasks_ready", "Tasks that a worker could take.", labels=["queue"])
    waiting = GaugeMetricFamily("counterdub_tasks_waiting", "Tasks waiting for others or a retry.", labels=["queue"])
    running = GaugeMetricFamily("counterdub_tasks_running", "Tasks being done.", labels=["queue"])
    counts = select(StageRun.queue, StageRun.state, func.count()).where(StageRun.state.not_in(FINAL))
    by_queue: dict[str, dict[str, int]] = {}
    for queue, state, count in session.execute(counts.group_by(StageRun.queue, StageRun.state)):
        by_queue.setdefault(queue, {})[state] = count
    for queue, states in sorted(by_queue.items()):
        queued.add_metric([queue], states.get("ready", 0))
        waiting.add_metric([queue], states.get("waiting", 0) + states.get("resting", 0))
        running.add_metric([queue], states.get("running", 0))
    yield from (queued, waiting, running)


def of_stages(session: Session) -> Iterator[Metric]:
    """Everything by stage in one pass over the tasks."""
    tasks = CounterMetricFamily("counterdub_tasks_ended", "Tasks ended.", labels=["stage", "state"])
    seconds = CounterMetricFamily("counterdub_stage_seconds", "Time of ended tasks.", labels=["stage"])
    engines = CounterMetricFamily("counterdub_engine_seconds", "Time in engines.", labels=["stage"])
    ended = (
        select(
            StageRun.stage,
            StageRun.state,
            func.count(),
            # What was found in another caller's results is told to its caller as computed; here it is not counted.
            func.sum(case((StageRun.computed > 0, StageRun.seconds), else_=0.0)),
            func.sum(case((StageRun.computed > 0, StageRun.engine_seconds), else_=0.0)),
        )
        .where(StageRun.state.in_(FINAL))
        .group_by(StageRun.stage, StageRun.state)
    )
    spent: dict[str, list[float]] = {}
    for stage, state, count, total, in_engines in session.execute(ended):
        tasks.add_metric([stage, state], count)
        both = spent.setdefault(stage, [0.0, 0.0])
        both[0] += total or 0
        both[1] += in_engines or 0
    for stage, (total, in_engines) in sorted(spent.items()):
        seconds.add_metric([stage], total)
        engines.add_metric([stage], in_engines)
    yield from (tasks, seconds, engines)

    failures = CounterMetricFamily("counterdub_failures", "Failed tasks.", labels=["stage", "code"])
    code = StageRun.error["code"].as_string()
    failed = select(StageRun.stage, code, func.count()).where(StageRun.state == "failed").group_by(StageRun.stage, code)
    for stage, reason, count in session.execute(failed):
        failures.add_metric([stage, reason or "unknown"], count)
    yield failures

    audio = CounterMetricFamily("counterdub_audio_seconds_done", "Length of the titles that are done.")
    audio.add_metric([], session.scalar(select(func.sum(Title.seconds)).where(Title.state == "done")) or 0)
    yield audio


def of_jobs(session: Session) -> Iterator[Metric]:
    yield by_state(session, "counterdub_jobs", "Jobs.", Job, Job.kind == "job")
    yield by_state(session, "counterdub_trainings", "Trainings.", Job, Job.kind == "training")
    yield by_state(session, "counterdub_titles", "Titles.", Title)
    yield by_state(session, "counterdub_workers", "Worker processes.", Worker)
    yield by_state(session, "counterdub_deliveries", "Webhook messages.", Delivery)


def by_state(session: Session, name: str, text: str, table: Any, *which: Any) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=["state"])
    for state, count in session.execute(select(table.state, func.count()).where(*which).group_by(table.state)):
        gauge.add_metric([state], count)
    return gauge


class Scrape:
    """The metrics in Prometheus' text form, counted at most every :data:`KEPT_S`: scrapers come in pairs."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Jobs(database))
        self._lock = threading.Lock()
        self._when = -KEPT_S
        self._text = b""

    def text(self) -> bytes:
        with self._lock:
            if time.monotonic() - self._when >= KEPT_S:
                self._text = generate_latest(self._registry)
                self._when = time.monotonic()
            return self._text
