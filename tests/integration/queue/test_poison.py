"""What is wrong with one job, or with the database for a moment, ends no worker: other jobs go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, select, text, update

from shared.core.store import Blob
from shared.ledger.tables import Job, StageRun
from shared.queue import job_commands
from tests.integration.queue.rig import Rig, is_running
from tests.integration.queue.undisturbed import undisturbed

pytestmark = pytest.mark.usefixtures("null_stages")


def stored(rig: Rig, job: str, task: str, output: str) -> Path:
    """Where an output of a finished task lies in the store."""
    run = rig.run(job, task)
    assert run is not None and run.outputs is not None
    return rig.store.fetch(Blob(**run.outputs[output]))


def unharmed(rig: Rig, worker: int, folder: Path) -> None:
    """The worker that had the bad job is still there and does another."""
    other = rig.submit("other")
    assert rig.wait(other).state == "done"
    assert rig.artifacts(other) == undisturbed(folder, "other")
    assert is_running(worker), "the supervisor ended"


def test_a_file_of_a_plan_that_is_gone_while_a_task_is_out_of_attempts(rig: Rig, tmp_path: Path) -> None:
    hang = rig.trap("dubbing/es/0000", "hang")
    worker = rig.worker(COUNTERDUB_MAX_ATTEMPTS="1")
    job = rig.submit("film")
    run = rig.running(job, "dubbing/es/0000")
    stored(rig, job, "ingest", "chunks.json").unlink()
    (victim,) = [found.pid for found in rig.alive() if found.id == run.owner]
    os.kill(victim, signal.SIGKILL)
    ended = rig.wait(job)
    assert (ended.state, ended.titles_failed) == ("failed", 1)
    told = [event.data["error"]["code"] for event in rig.events(job) if event.kind == "job_failed"]
    assert told == ["artifact_lost"]
    hang.unlink()
    unharmed(rig, worker, tmp_path)
    rig.waker.wake(job_commands.retry_job(rig.database, rig.store, job))
    assert rig.wait(job).state == "done", "what was lost is made anew"
    assert rig.artifacts(job) == undisturbed(tmp_path, "film")


def test_settings_of_another_version(rig: Rig, tmp_path: Path) -> None:
    job = rig.submit("film")
    with rig.database.write() as session:
        row = session.get_one(Job, job)
        settings: dict[str, Any] = row.settings
        row.settings = {**settings, "hologram": {"depth": 3}, "dubbing": {**settings["dubbing"], "smell": "roses"}}
    worker = rig.worker()
    assert rig.wait(job).state == "done"
    assert rig.artifacts(job) == undisturbed(tmp_path, "film")
    (told,) = [event.data for event in rig.events(job) if event.kind == "settings_unread"]
    assert told["keys"] == ["dubbing.smell", "hologram"]
    assert rig.job(job).settings["hologram"] == {"depth": 3}, "kept for the version that knows it"
    unharmed(rig, worker, tmp_path)


def test_a_task_that_this_version_cannot_read(rig: Rig, tmp_path: Path) -> None:
    job = rig.submit("film")
    with rig.database.write() as session:
        session.execute(update(StageRun).where(StageRun.job_id == job).values(scope={"planet": "Mars"}))
    worker = rig.worker()
    assert rig.wait(job).state == "failed"
    failed = [event.data["error"]["code"] for event in rig.events(job) if event.kind == "job_failed"]
    assert failed == ["job_unreadable"]
    unharmed(rig, worker, tmp_path)


@contextmanager
def read_only(rig: Rig) -> Iterator[None]:
    """As while another server takes over: every transaction is refused to write."""
    url = make_url(rig.settings.sqlalchemy_url())
    with rig.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = on'))
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
        )
        connection.execute(text(others), {"name": url.database})
        yield
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text(f'ALTER DATABASE "{url.database}" RESET default_transaction_read_only'))
        connection.execute(text(others), {"name": url.database})


@pytest.mark.parametrize("rig", ["postgresql"], indirect=True)
def test_a_database_that_is_read_only_for_a_while(rig: Rig, tmp_path: Path) -> None:
    hang = rig.trap("stems/0000", "hang")
    worker = rig.worker()
    job = rig.submit("film")
    rig.running(job, "stems/0000")
    with rig.database.read() as session:
        before = set(session.scalars(select(StageRun.owner).where(StageRun.job_id == job, StageRun.owner.is_not(None))))
    with read_only(rig):
        hang.unlink()
        time.sleep(3)
        assert is_running(worker)
    assert rig.wait(job).state == "done"
    assert rig.artifacts(job) == undisturbed(tmp_path, "film")
    assert {worker.id for worker in rig.alive()} == before, "no process was started anew"
