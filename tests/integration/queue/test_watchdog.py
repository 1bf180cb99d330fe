"""What a watch takes for a lost worker, and what it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from shared.core.store import Blob
from shared.ledger.database import Database
from shared.ledger.tables import Artifact, Base, Worker
from shared.queue.scheduling.watchdog import LOST_AFTER, Watchdog
from shared.queue.service_settings import ServiceSettings
from tests.integration.queue.rig import Rig

HEARTBEAT = 10.0


class Scene:
    """One worker that beats when told to, and a watch that looks when told to."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = ServiceSettings(data=folder, heartbeat_s=HEARTBEAT)
        self.database = Database(f"sqlite:///{folder / 'jobs.db'}")
        Base.metadata.create_all(self.database.engine)
        with self.database.write() as session:
            session.add(Worker(id="wrk_1", queues=["separation"], host="here", pid=1))
        self.moment = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.moment)
        self.watch = Watchdog(self.database, settings.open_store(), settings, ("separation",))

    def looks(self, heartbeats: float, every: float = 0.15) -> str:
        """What the worker is held for after so many heartbeats of looks."""
        end = self.moment + heartbeats * HEARTBEAT
        while self.moment < end:
            self.moment += every * HEARTBEAT
            self.watch.release_lost()
        with self.database.read() as session:
            return str(session.scalar(select(Worker.state)))

    def beat(self) -> None:
        with self.database.write() as session:
            session.execute(update(Worker).values(beat=Worker.beat + 1))


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(tmp_path, monkeypatch)
    yield made
    made.database.close()


def test_a_worker_that_beats_no_more_is_lost(scene: Scene) -> None:
    assert scene.looks(LOST_AFTER - 0.3) == "alive"
    assert scene.looks(0.6) == "lost"


def test_a_worker_that_beats_lives(scene: Scene) -> None:
    for _ in range(5):
        assert scene.looks(1) == "alive"
        scene.beat()


def test_no_worker_is_lost_while_nobody_could_look(scene: Scene) -> None:
    scene.looks(1)
    scene.moment += 50 * HEARTBEAT  # The database was away: no worker could write a beat either.
    assert scene.looks(0.15) == "alive"
    scene.beat()
    assert scene.looks(1) == "alive"


def test_a_worker_that_died_while_nobody_could_look_is_lost_soon(scene: Scene) -> None:
    scene.looks(1)
    scene.moment += 50 * HEARTBEAT
    assert scene.looks(LOST_AFTER) == "lost"


def test_a_watch_that_is_always_late_finds_a_lost_worker_all_the_same(scene: Scene) -> None:
    assert scene.looks(30, every=3) == "lost"


def test_the_watch_sweeps_the_store_and_takes_nothing_that_a_job_has(rig: Rig) -> None:
    with rig.store.workspace() as folder:
        (path := folder / "orphan.bin").write_text("nobody's")
        orphan = rig.store.add("orphan.bin", path, move=True)
    rig.worker(COUNTERDUB_SWEEP_HOURS="0.001")  # 3.6 seconds
    job = rig.submit("film")
    assert rig.wait(job).state == "done"
    rig.until(lambda: not rig.store.holds(orphan))
    time.sleep(5)
    with rig.database.read() as session:
        blobs = session.scalars(select(Artifact).where(Artifact.job_id == job)).all()
    assert blobs and all(rig.store.holds(Blob(one.name, one.sha256, one.size)) for one in blobs)
    again = rig.submit("film")
    assert rig.wait(again).state == "done"
    assert not any(run.computed for run in rig.runs(again) if run.stage not in ("deliver", "fetch", "dataset"))
