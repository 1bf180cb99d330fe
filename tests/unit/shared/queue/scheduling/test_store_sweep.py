"""The store keeps what something refers to, and what is young; the rest goes."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from shared.core.store import Blob, Store
from shared.ledger.database import Database
from shared.ledger.tables import Artifact, Base, Event, Job, StageRun, Title, Upload, now
from shared.queue.job_commands import delete_job
from shared.queue.scheduling import store_sweep
from shared.queue.scheduling.store_sweep import hashes, sweep
from shared.queue.service_settings import ServiceSettings

HOUR = 3600.0


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(ServiceSettings(data=tmp_path).sqlalchemy_url())
    Base.metadata.create_all(made.engine)
    return made


def kept(store: Store, name: str, age_s: float = 48 * HOUR) -> Blob:
    with store.workspace() as folder:
        (path := folder / name).write_text(f"content of {name}")
        blob = store.add(name, path, move=True)
    moment = time.time() - age_s
    os.utime(store.fetch(blob), (moment, moment))
    return blob


def test_what_is_referred_to_stays_and_goes_with_its_job(database: Database, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    names = ("video", "transcript", "made", "input", "file", "before", "upload", "orphan", "young")
    blobs = {name: kept(store, name, 60.0 if name == "young" else 48 * HOUR) for name in names}
    with database.write() as session:
        job = Job(state="done", languages=["es"], settings={})
        session.add(job)
        session.flush()
        title = Title(job_id=job.id, position=0, name="film", source_kind="upload", source_name="f", languages=["es"])
        title.video, title.transcript = asdict(blobs["video"]), asdict(blobs["transcript"])
        run = StageRun(job_id=job.id, title="film", task="ingest", stage="ingest", queue="ingest", state="done")
        run.inputs, run.outputs = {"source": asdict(blobs["input"])}, {"made": asdict(blobs["made"])}
        session.add_all([title, run])
        session.add(Artifact(job_id=job.id, path="film/x", title="film", **asdict(blobs["file"])))
        session.add(
            Event(job_id=job.id, seq=1, kind="line_edited", data={"before": {"track": asdict(blobs["before"])}})
        )
        session.add(Upload(name="u", size=1, offset=1, expires=now(), blob=asdict(blobs["upload"])))
    assert sweep(database, store, 24 * HOUR, dry=True)[0] == 1
    assert store.holds(blobs["orphan"])
    assert sweep(database, store, 24 * HOUR) == (1, blobs["orphan"].size)
    assert {name for name, blob in blobs.items() if not store.holds(blob)} == {"orphan"}
    delete_job(database, job.id)
    sweep(database, store, 24 * HOUR)
    assert {name for name, blob in blobs.items() if store.holds(blob)} == {"upload", "young"}


def test_what_is_found_or_stored_again_is_young(tmp_path: Path, database: Database) -> None:
    store = Store(str(tmp_path / "store"))
    with store.workspace() as folder:
        (path := folder / "made").write_text("made")
        (blob,) = store.put("ab" * 32, {"made": path}).values()
    old = time.time() - 48 * HOUR
    os.utime(store.fetch(blob), (old, old))
    assert store.find("ab" * 32) is not None
    assert sweep(database, store, 24 * HOUR) == (0, 0)
    os.utime(store.fetch(blob), (old, old))
    assert sweep(database, store, 24 * HOUR)[0] == 1
    assert store.find("ab" * 32) is None


def test_what_is_found_while_the_sweep_looks_elsewhere_stays(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task finds an old result after the listing, and has not booked it when the references are read."""
    store = Store(str(tmp_path / "store"))
    with store.workspace() as folder:
        (path := folder / "made").write_text("made")
        (blob,) = store.put("ab" * 32, {"made": path}).values()
    orphan = kept(store, "orphan")
    old = time.time() - 48 * HOUR
    os.utime(store.fetch(blob), (old, old))
    real = store_sweep.referenced

    def found_meanwhile(*asked: Any) -> set[str]:
        references = real(*asked)
        assert store.find("ab" * 32) is not None
        return references

    monkeypatch.setattr(store_sweep, "referenced", found_meanwhile)
    assert sweep(database, store, 24 * HOUR) == (1, orphan.size)
    assert store.holds(blob) and not store.holds(orphan)


def test_hashes_are_found_at_any_depth() -> None:
    assert set(hashes({"a": [{"sha256": "1", "b": {"sha256": "2"}}], "sha256": "3"})) == {"1", "2", "3"}
