"""Faults that are done to a running installation, each with the task that it hits."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis
from sqlalchemy import update

from shared.ledger.tables import Job, StageRun
from shared.queue import job_commands
from shared.queue.scheduling.watchdog import Watchdog
from tests.integration.queue.rig import HEARTBEAT, Rig
from tests.integration.queue.test_faults import EACH_STAGE, restart
from tests.integration.queue.test_poison import read_only

WORKERS = 2


@dataclass(frozen=True)
class Fault:
    """``inject`` gets an installation whose job is at the task, which hangs, and does it harm.

    Attributes:
        task: What hangs until the harm is done; None: nothing does.
        before: Called before workers are started: settings of workers, rows of the job.
        servers: Databases that it can happen to.
        remade: Tasks that are done again, by design, since what they are made of is another.
    """

    name: str
    inject: Callable[[Rig, str, Any], None]
    task: str | None = "dubbing/es/0000"
    before: Callable[[Rig, str], dict[str, str]] = lambda rig, job: {}
    servers: tuple[str, ...] = ("sqlite", "postgresql")
    remade: int = 0


def owner(rig: Rig, job: str, task: str) -> int:
    """The process that has the task in hand."""
    run = rig.running(job, task)
    return next(worker.pid for worker in rig.alive() if worker.id == run.owner)


def kill(task: str) -> Callable[[Rig, str, Any], None]:
    def inject(rig: Rig, job: str, server: Any) -> None:
        os.kill(owner(rig, job, task), signal.SIGKILL)

    return inject


def kill_everything(rig: Rig, job: str, server: Any) -> None:
    rig.kill_workers()
    for _ in range(WORKERS):
        rig.worker()


def kill_at_random(rig: Rig, job: str, server: Any, points: int = 200) -> None:
    """SIGKILL for a process chosen by chance, at moments chosen by chance, while one job after the other comes in."""
    chance = random.Random(12)
    films = 0
    for _ in range(points):
        time.sleep(chance.uniform(0.02, 0.3))
        if rig.job(job).state != "running":
            films += 1
            job = rig.submit(f"film{films}")
        if alive := rig.alive():
            kill_quietly(chance.choice(alive).pid)


def kill_thrice(rig: Rig, job: str, server: Any) -> None:
    """The task fails with ``worker_lost`` alone, by design; a retry does it."""
    task = "dubbing/es/0000"
    for attempt in range(1, 4):
        rig.until(partial(runs, rig, job, task, attempt))
        os.kill(owner(rig, job, task), signal.SIGKILL)
    rig.wait(job)
    run = rig.run(job, task)
    assert run is not None and run.error is not None and run.error["code"] == "worker_lost", run
    for trap in rig.traps.glob("*.hang"):
        trap.unlink()
    rig.waker.wake(job_commands.retry_job(rig.database, rig.store, job))


def kill_quietly(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def stop_past_the_lease(rig: Rig, job: str, server: Any) -> None:
    """A whole worker, watch and all, is stopped, taken for dead, and goes on."""
    child = owner(rig, job, "dubbing/es/0000")
    stopped = [child, os.getpgid(parent(child))]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3 * HEARTBEAT)
    for pid in reversed(stopped):
        os.kill(pid, signal.SIGCONT)


def parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - no path of ours
        return int(file.read().rpartition(")")[2].split()[1])


def stop_the_child(rig: Rig, job: str, server: Any) -> None:
    os.kill(owner(rig, job, "dubbing/es/0000"), signal.SIGSTOP)


def flush_the_broker(rig: Rig, job: str, server: Any) -> None:
    with redis.Redis.from_url(rig.settings.broker_url.get_secret_value()) as connection:
        connection.flushall()


def database_away_while_reaping(rig: Rig, job: str, server: Any) -> None:
    os.kill(owner(rig, job, "dubbing/es/0000"), signal.SIGKILL)
    time.sleep(HEARTBEAT / 4)
    restart(server)


def two_reapers(rig: Rig, job: str, server: Any) -> None:
    """Both have read that a worker is lost; the second acts when the first is long done."""
    run = rig.running(job, "dubbing/es/0000")
    watches = [Watchdog(rig.database, rig.store, rig.settings, ()) for _ in range(2)]
    os.kill(owner(rig, job, "dubbing/es/0000"), signal.SIGKILL)
    for watch in watches:
        rig.waker.wake(watch.mark_lost(str(run.owner)))
        rig.waker.wake(watch.release(run.id))


def nothing(rig: Rig, job: str, server: Any) -> None:
    """What is wrong was there before."""


def trapped(what: str, task: str, seconds: float = 1.0) -> Callable[[Rig, str, Any], None]:
    """A trap at a later task, gone after a while."""

    def inject(rig: Rig, job: str, server: Any) -> None:
        trap = rig.trap(task, what)
        for path in rig.traps.glob("*.hang"):
            path.unlink()
        rig.until(lambda: "task_failed" in rig.kinds(job))
        time.sleep(seconds / 5)
        trap.unlink(missing_ok=True)

    return inject


def stand_by(rig: Rig, job: str, server: Any) -> None:
    with read_only(rig):
        time.sleep(2 * HEARTBEAT)


def strange_settings(rig: Rig, job: str) -> dict[str, str]:
    with rig.database.write() as session:
        row = session.get_one(Job, job)
        row.settings = {**row.settings, "hologram": {"depth": 3}}
    return {}


def poisoned(rig: Rig, job: str) -> dict[str, str]:
    """Another job, whose rows nobody can read, stands in front of this one."""
    bad = rig.submit("poison")
    with rig.database.write() as session:
        session.execute(update(StageRun).where(StageRun.job_id == bad).values(scope={"planet": "Mars"}, id=-1))
    return {}


def with_environment(**values: str) -> Callable[[Rig, str], dict[str, str]]:
    return lambda rig, job: values


def frozen(rig: Rig, job: str) -> dict[str, str]:
    rig.trap("translation/es/0000", "frozen")
    return {"COUNTERDUB_TIME_LIMITS_S": '{"translation": 1}'}


PG = ("postgresql",)
FAULTS = (
    *(Fault(f"kill in {task.partition('/')[0]}", kill(task), task) for task in EACH_STAGE),
    Fault("kill everything", kill_everything),
    # As many attempts as there are kills: with three, a task that chance hits three times has failed by design.
    Fault(
        "kill at 200 random points, one job after another",
        kill_at_random,
        None,
        with_environment(COUNTERDUB_MAX_ATTEMPTS="200"),
    ),
    Fault("kill three times in one task (`worker_lost`), then `:retry`", kill_thrice, remade=3),
    Fault("stop a worker past its lease, go on", stop_past_the_lease),
    Fault("stop a process alone", stop_the_child, before=with_environment(COUNTERDUB_SILENT_S="2")),
    Fault("a native call that keeps all threads", nothing, None, frozen),
    Fault("broker flushed", flush_the_broker),
    Fault("database restarted while reaping", database_away_while_reaping, servers=PG),
    Fault("database read only for 2 s", stand_by, servers=PG),
    Fault("two reapers, one with a stale read", two_reapers),
    Fault("disk full for a while", trapped("full", "quality/es/0000")),
    Fault("store read only for a while", trapped("read_only", "quality/es/0000")),
    Fault("clocks jump by an hour", kill("dubbing/es/0000"), before=with_environment(COUNTERDUB_TEST_CLOCK="1")),
    Fault("settings of another version", nothing, None, strange_settings),
    Fault("a job that cannot be read in front", nothing, None, poisoned),
)
SHORT = (
    "kill in dubbing",
    "stop a worker past its lease, go on",
    "broker flushed",
    "database restarted while reaping",
    "two reapers, one with a stale read",
    "a job that cannot be read in front",
)
"""What every change is tried on; ``make faults`` tries all."""


def runs(rig: Rig, job: str, task: str, attempt: int) -> bool:
    """Whether a task is being done for that time."""
    run = rig.running(job, task)
    return run is not None and run.attempt == attempt
