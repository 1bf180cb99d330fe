"""Output folders of the first version, whose state database had tables of its own, are opened and gone on with.

``earlier/folder.tar.gz`` was made by that version with the fakes of :mod:`tests.unit.shared.pipeline.test_edits`: a
film with an edited line, another film, and one that failed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from shared.core.errors import StorageError
from shared.ledger.edits import title_edits
from shared.ledger.folder import open_folder_ledger
from shared.ledger.tables import Event, Job, StageRun, Title
from shared.pipeline import folder_commands
from shared.pipeline.run import LEDGER, STATE, opened
from tests.unit.shared.pipeline.test_edits import Folder, Stages, stages  # noqa: F401

FOLDER = Path(__file__).with_name("earlier") / "folder.tar.gz"
HEADER = 100
"""Bytes before a SQLite file's pages; opening one may switch its journal there."""
FILMS = {"film": "a film", "other": "another film", "broken": "a broken film"}


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The folder, with its films where it says."""
    with tarfile.open(FOLDER) as archive:
        archive.extractall(tmp_path, filter="data")
    with closing(sqlite3.connect(tmp_path / "out" / STATE / LEDGER)) as database:
        for name, content in FILMS.items():
            (tmp_path / f"{name}.mp4").write_text(content)
            database.execute("UPDATE title SET source = ? WHERE name = ?", (str(tmp_path / f"{name}.mp4"), name))
        database.commit()
    store = tmp_path / "out" / STATE / "store"
    for manifest in store.glob("keys/*/*.json"):
        give_a_probe(store, manifest)
    return tmp_path / "out"


def give_a_probe(store: Path, manifest: Path) -> None:
    """A probe is an object, as every real run stored it: the fakes of that time wrote a text."""
    outputs = json.loads(manifest.read_text(encoding="utf-8"))
    if "probe.json" in outputs:
        content = json.dumps({"sha256": outputs["probe.json"]["sha256"]}).encode()
        digest = hashlib.sha256(content).hexdigest()
        blob = store / "blobs" / digest[:2] / f"{digest}.json"
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(content)
        outputs["probe.json"] = {"sha256": digest, "size": len(content)}
        manifest.write_text(json.dumps(outputs), encoding="utf-8")


def counted(path: Path, table: str) -> Any:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]


def test_nothing_that_it_held_is_lost(earlier: Path) -> None:
    path = earlier / STATE / LEDGER
    before = {table: counted(path, table) for table in ("job", "title", "edit", "stage_run", "event")}
    database = open_folder_ledger(path)
    with database.read() as session:
        titles = list(session.scalars(select(Title).order_by(Title.position)))
        assert [(title.name, title.state, title.languages) for title in titles] == [
            ("film", "done", ["es"]),
            ("other", "done", ["es", "fr"]),
            ("broken", "failed", ["es"]),
        ]
        assert titles[2].error and titles[2].error["code"] == "made_to_fail"
        assert titles[0].settings and titles[0].settings["translation"]["engine"] == "llama"
        (edit,) = title_edits(session, titles[0].id)["es"]
        assert (edit.text, edit.start, edit.source) == ("Primera.", 4.1, "Thank you, Anna. I missed the last train.")
        jobs = list(session.scalars(select(Job).order_by(Job.created)))
        assert [job.state for job in jobs] == ["done"] * 4 and all(job.finished for job in jobs)
        for job in jobs:
            seen = list(session.scalars(select(Event.seq).where(Event.job_id == job.id).order_by(Event.seq)))
            assert seen == list(range(1, job.events + 1))
        first = session.scalars(select(StageRun).where(StageRun.title_id == titles[0].id).order_by(StageRun.id)).first()
        assert first is not None and first.key and first.seconds > 0 and first.computed == 1
        assert session.scalar(select(func.count()).where(StageRun.title_id.is_(None))) == 0
    database.close()
    assert {table: counted(path, table) for table in before} == before
    assert sorted(file.name for file in path.parent.glob(f"{LEDGER}*")) == [LEDGER]


def test_it_is_gone_on_with(earlier: Path, stages: Stages) -> None:  # noqa: F811
    folder = Folder(earlier.parent)
    others = {name: body for name, body in folder.files().items() if name.startswith("other/")}
    folder.redub("Segunda.", title="film")
    assert not {name for name, _, _ in stages.calls} & {"ingest", "separation", "stems", "transcription", "speakers"}
    assert folder.edits() == [("Segunda.", "Thank you, Anna. I missed the last train.")]
    files = folder.files()
    assert {name: files[name] for name in others} == others
    stages.calls.clear()
    summary = folder_commands.dub(
        [str(folder.film.with_name("broken.mp4"))], ["fr"], folder.out, folder_settings(earlier)
    )
    assert summary.job == 6 and [title["state"] for title in summary.titles] == ["done"]
    assert {lang for name, lang, _ in stages.calls if name == "dubbing"} == {"es", "fr"}


def test_one_older_still_is_read_and_its_titles_keep_their_settings(earlier: Path, stages: Stages) -> None:  # noqa: F811
    """At first titles had no settings of their own, and an edit knew its line's number only."""
    with closing(sqlite3.connect(earlier / STATE / LEDGER)) as database:
        for table, columns in {"title": ["settings"], "edit": ["start", "end", "source"]}.items():
            for column in columns:
                database.execute(f'ALTER TABLE "{table}" DROP COLUMN "{column}"')
        database.execute(
            "UPDATE job SET settings = json_set(settings, '$.separation.context_seconds', 2.0)"
            " WHERE id > (SELECT MAX(job_id) FROM stage_run WHERE title = 'film')"
        )
        database.commit()
    folder = Folder(earlier.parent)
    folder.redub("Hola.", title="film")
    assert not {name for name, _, _ in stages.calls} & {"separation", "transcription"}
    assert folder.edits() == [("Hola.", "Thank you, Anna. I missed the last train.")]


def folder_settings(out: Path) -> Any:
    with opened(out) as database, database.read() as session:
        return folder_commands.last_settings(session)


def test_killed_while_it_is_converted_it_is_as_it_was(earlier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = earlier / STATE / LEDGER
    before = path.read_bytes()[HEADER:]
    with monkeypatch.context() as patch, pytest.raises(StorageError) as caught:
        patch.setattr(Path, "replace", full_disk)
        open_folder_ledger(path)
    assert caught.value.code == "disk_full" and path.read_bytes()[HEADER:] == before
    assert path.with_name(f"{LEDGER}.new").exists(), "the killed one's leftover"
    open_folder_ledger(path).close()
    assert counted(path, "title") == 3 and not path.with_name(f"{LEDGER}.new").exists()


def full_disk(*_: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_a_damaged_one_is_named_and_kept(earlier: Path) -> None:
    path = earlier / STATE / LEDGER
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    before = path.read_bytes()[HEADER:]
    with pytest.raises(StorageError) as caught:
        open_folder_ledger(path)
    assert caught.value.code == "bad_state" and path.read_bytes()[HEADER:] == before


def test_a_run_that_was_killed_before_it_was_entered(earlier: Path) -> None:
    path = earlier / STATE / LEDGER
    with closing(sqlite3.connect(path)) as database:
        for table in ("stage_run", "event", "job"):
            database.execute(f"DELETE FROM {table}")
        database.commit()
    open_folder_ledger(path).close()
    assert counted(path, "title") == 3 and counted(path, "edit") == 1
