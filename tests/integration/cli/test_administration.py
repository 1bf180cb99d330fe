"""``counterdub db``, ``keys`` and ``worker`` where no server is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from sqlalchemy import text

from services.api.auth.keys import caller_of
from shared.ledger.database import Database
from shared.ledger.tables import Artifact, Job
from shared.queue.service_settings import ServiceSettings, service_settings
from tests.integration.cli.conftest import counterdub, said


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    assert counterdub("db", "upgrade", "--data", folder).exit_code == 0
    return folder


def database(data: Path) -> Database:
    return Database(f"sqlite:///{data}/counterdub.db")


def test_the_database_is_brought_up_to_date(tmp_path: Path) -> None:
    place = ("--data", tmp_path / "new", "--json")
    old = counterdub("db", "check", *place)
    assert (old.exit_code, said(old)["error"]["code"]) == (3, "schema_old")
    for command in ("upgrade", "upgrade", "check"):
        result = counterdub("db", command, *place)
        assert (result.exit_code, said(result)) == (0, {"database": "current"})
    with database(tmp_path / "new").write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for command in ("upgrade", "check"):
        new = counterdub("db", command, *place)
        assert (new.exit_code, said(new)["error"]["code"]) == (3, "schema_new")


def test_a_key_is_shown_once(data: Path) -> None:
    made = said(counterdub("keys", "create", "me", "--max-open-jobs", "3", "--data", data, "--json"))
    caller = caller_of(database(data), made["key"])
    assert caller is not None
    assert (caller.key_id, set(caller.scopes), caller.max_open_jobs) == (made["id"], {"jobs:read", "jobs:write"}, 3)
    listed = counterdub("keys", "list", "--data", data, "--json")
    (row,) = said(listed)["keys"]
    assert (row["id"], row["name"], row["revoked"]) == (made["id"], "me", None)
    assert made["key"] not in listed.stdout
    assert "hash" not in row
    assert made["id"][:8] in counterdub("keys", "list", "--data", data).stdout
    assert counterdub("keys", "revoke", made["id"], "--data", data).exit_code == 0
    assert caller_of(database(data), made["key"]) is None
    assert said(counterdub("keys", "list", "--data", data, "--json"))["keys"][0]["revoked"]


def test_wrong_keys_are_refused(data: Path) -> None:
    scope = counterdub("keys", "create", "me", "--scope", "everything", "--data", data, "--json")
    assert (scope.exit_code, said(scope)["error"]["code"]) == (2, "unknown_scope")
    unknown = counterdub("keys", "revoke", "key_nonsense", "--data", data, "--json")
    assert (unknown.exit_code, said(unknown)["error"]["code"]) == (2, "unknown_key")


def test_a_worker_says_what_it_lacks(tmp_path: Path) -> None:
    service_settings.cache_clear()
    place = {"COUNTERDUB_DATA": str(tmp_path)}
    unknown = counterdub("worker", "--queues", "ingest,nonsense", **place)
    assert unknown.exit_code == 2
    assert "nonsense" in unknown.stderr
    assert counterdub("worker", **place).exit_code == 2
    old = counterdub("worker", "--queues", "ingest", **place)
    assert old.exit_code == 3
    assert "counterdub db upgrade" in old.stderr.replace("\n", " ")
    assert counterdub("db", "upgrade", "--data", tmp_path).exit_code == 0
    assert counterdub("worker", "--check", COUNTERDUB_HEARTBEAT_S="0.3", **place).exit_code == 3
    service_settings.cache_clear()


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        (["serve"], "filelock", "serve"),
        (["worker", "--queues", "ingest"], "pydantic_settings", "queue"),
        (["submit", "--job", "job_1"], "httpx2", "client"),
        (["keys", "list"], "fastapi", "api"),
        (["db", "check"], "alembic", "queue"),
    ],
)
def test_a_missing_package_is_named(tmp_path: Path, command: list[str], package: str, extra: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from services.cli.main import main; main()"
    run = [sys.executable, "-c", program, *command]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 3, done.stderr
    assert f"“{package}”" in done.stderr
    assert f"counterdub[{extra}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_store_is_swept(data: Path) -> None:
    """What a job refers to stays; a dry run only says what would go."""
    store = ServiceSettings(data=data).open_store()
    moment, blobs = time.time() - 10 * 3600, {}
    for name in ("kept", "orphan"):
        with store.workspace() as folder:
            (path := folder / name).write_text(name * 1000)
            blobs[name] = store.add(name, path, move=True)
        os.utime(store.fetch(blobs[name]), (moment, moment))
    with database(data).write() as session:
        job = Job(languages=["es"], settings={}, state="done")
        session.add(job)
        session.flush()
        session.add(Artifact(job_id=job.id, path="film/x", title="film", **asdict(blobs["kept"])))
    place = ("--data", data, "--json")
    assert said(counterdub("store", "sweep", *place)) == {"files": 0, "bytes": 0, "removed": True}, "used within a day"
    found = said(counterdub("store", "sweep", "--older-than", "2", "--dry-run", *place))
    assert found == {"files": 1, "bytes": 6000, "removed": False} and store.holds(blobs["orphan"])
    assert said(counterdub("store", "sweep", "--older-than", "2", *place)) == {
        "files": 1,
        "bytes": 6000,
        "removed": True,
    }
    assert store.holds(blobs["kept"]) and not store.holds(blobs["orphan"])
    again = counterdub("store", "sweep", "--older-than", "2", "--data", data)
    assert again.exit_code == 0 and "0 files" in again.stdout
