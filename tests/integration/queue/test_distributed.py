"""Workers that share nothing but an S3 server, a database and a broker; local copies that stay within their bound."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest
import s3fs

from shared.core.errors import StorageError
from shared.core.store import Blob, Store
from shared.ledger.database import Database
from shared.ledger.tables import Artifact, Base, Job
from shared.queue.scheduling.store_sweep import sweep
from tests.integration.queue.conftest import database_url, valkey_server
from tests.integration.queue.nursery import Nursery
from tests.integration.queue.rig import Rig
from tests.integration.queue.undisturbed import undisturbed

pytestmark = pytest.mark.usefixtures("null_stages")
BUCKET = "counterdub-test"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on a real S3 server; its address and keys are in the environment, as users set them."""
    # Connections of earlier tests lead to another server.
    s3fs.S3FileSystem.clear_instance_cache()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"import moto.server as m; m.ThreadedMotoServer(port={port}).start(); import time; time.sleep(1e6)"
    server = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        wait_for(port)
        s3fs.S3FileSystem().mkdir(BUCKET)
        yield f"s3://{BUCKET}"
    server.kill()
    server.wait()


def wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("no S3 server")


def test_workers_with_no_common_disk(bucket: str, tmp_path: Path, nursery: Nursery) -> None:
    with valkey_server(tmp_path / "valkey") as broker:
        url = database_url("sqlite", tmp_path, str)
        rig = Rig(tmp_path / "rig", url, f"redis://127.0.0.1:{broker.port}/0", nursery, f"{bucket}/shared")
        try:
            caches = [tmp_path / "here", tmp_path / "there"]
            half = ["ingest", "transcription", "pairing"]
            rig.worker(half, COUNTERDUB_STORE_CACHE=str(caches[0]))
            rig.worker(["separation", "translation", "dubbing", "fetch"], COUNTERDUB_STORE_CACHE=str(caches[1]))
            job = rig.submit("film")
            assert rig.wait(job).state == "done"
            assert rig.artifacts(job) == undisturbed(tmp_path, "film")
            assert {run.owner for run in rig.runs(job)} == {None}
            assert all(any((cache / "blobs").rglob("*.*")) for cache in caches)
            assert not (tmp_path / "rig" / "data" / "store").exists()
        finally:
            rig.close()


def test_an_s3_store_is_swept_with_its_copies(bucket: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/counterdub.db")
    Base.metadata.create_all(database.engine)
    store = Store(f"{bucket}/swept", tmp_path / "cache")
    kept, orphan = add(store, "kept"), add(store, "orphan")
    with database.write() as session:
        job = Job(languages=["es"], settings={}, state="done")
        session.add(job)
        session.flush()
        session.add(Artifact(job_id=job.id, path="film/x", title="film", **asdict(kept)))
    copies_of = [store.fetch(blob) for blob in (kept, orphan)]
    assert sweep(database, store, 3600) == (0, 0), "both are young"
    time.sleep(2.1)  # S3 tells whole seconds.
    assert sweep(database, store, 1.0, dry=True) == (1, orphan.size) and store.holds(orphan)
    assert sweep(database, store, 1.0) == (1, orphan.size)
    assert [store.holds(kept), store.holds(orphan)] == [True, False]
    assert [path.exists() for path in copies_of] == [True, False]
    database.close()


def test_what_is_found_on_s3_is_young_again(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.core.store.REFRESH_S", 0.5)
    database = Database(f"sqlite:///{tmp_path}/counterdub.db")
    Base.metadata.create_all(database.engine)
    store = Store(f"{bucket}/young", tmp_path / "cache")
    with store.workspace() as folder:
        (path := folder / "made").write_text("made")
        (found,) = store.put("ab" * 32, {"made": path}).values()
    again, left = add(store, "again"), add(store, "left")
    time.sleep(3)
    assert store.find("ab" * 32) is not None and add(store, "again") == again
    assert sweep(database, store, 2.0) == (1, left.size)
    assert store.holds(found) and store.holds(again)
    assert store.fetch(found).read_text() == "made"
    database.close()


def add(store: Store, name: str, size: int = 100_000) -> Blob:
    with store.workspace() as folder:
        path = folder / "file.bin"
        path.write_bytes(name.encode() * (size // len(name)))
        return store.add("file.bin", path)


def copies(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "blobs").rglob("*.bin"))


def test_local_copies_stay_within_their_bound_and_the_latest_are_kept(bucket: str, tmp_path: Path) -> None:
    store = Store(f"{bucket}/bound", tmp_path, cache_bytes=350_000)
    blobs = [add(store, f"file{number}") for number in range(6)]
    for blob in blobs[:3]:
        store.fetch(blob)
    store.fetch(blobs[0])
    for blob in blobs[3:5]:
        store.fetch(blob)
    assert copies(tmp_path) <= 350_000
    here = {path.stem for path in (tmp_path / "blobs").rglob("*.bin")}
    assert here == {blobs[0].sha256, blobs[3].sha256, blobs[4].sha256}
    assert store.fetch(blobs[1]).read_bytes()[:5] == b"file1", "what was dropped comes again"


def test_a_copy_that_a_task_has_in_use_is_never_dropped(bucket: str, tmp_path: Path) -> None:
    store = Store(f"{bucket}/use", tmp_path, cache_bytes=150_000)
    blobs = [add(store, f"use{number}") for number in range(4)]
    with store.workspace():
        path = store.fetch(blobs[0])
        other = Store(f"{bucket}/use", tmp_path, cache_bytes=150_000)
        for blob in blobs[1:]:
            other.fetch(blob)
        (tmp_path / blobs[0].address).unlink(missing_ok=True)  # Not even so.
        assert path.read_bytes()[:4] == b"use0"
    assert not list((tmp_path / "tmp").iterdir())


def test_a_store_that_does_not_answer_is_tried_again(bucket: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises((StorageError, OSError)) as caught:
            Store(f"{bucket}/away", tmp_path).find("0" * 64)
        assert isinstance(caught.value, OSError) or cast(StorageError, caught.value).retryable
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


def test_what_killed_workers_left_is_swept_later(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    old, new = tmp_path / "tmp" / "old", tmp_path / "tmp" / "new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    store.sweep(idle_s=3600)
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["new"]
