"""Jobs are refused where nobody could do them, and given to those who can."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.core.errors import UsageError
from shared.core.store import Store
from shared.ledger.database import Database
from shared.ledger.tables import Base, Job, Title, Worker
from shared.pipeline.ledger import PlannedTitle
from shared.pipeline.planner import Plan, Task
from shared.pipeline.stage import Scope, card_queues
from shared.queue.job_commands import JobOrder, VideoSource, create_job
from shared.queue.service_settings import CARD_QUEUES
from shared.settings.models import load_settings

SOURCE = VideoSource("url", "film.mp4", locator="https://example.org/film.mp4")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    opened = Database(f"sqlite:///{tmp_path}/ledger.db")
    Base.metadata.create_all(opened.engine)
    return opened


def test_what_no_worker_could_do_is_refused(database: Database, tmp_path: Path) -> None:
    store, order = Store(str(tmp_path / "store")), JobOrder([SOURCE], ["es"], load_settings("gpu"))
    with database.write() as session:
        session.add_all([Worker(id="w1", queues=["separation"], host="h", pid=1)])
        session.add_all([Worker(id="w2", queues=list(CARD_QUEUES), host="h", pid=2, state="lost")])
    with pytest.raises(UsageError) as caught:
        create_job(database, store, order)
    assert caught.value.code == "no_card_worker"
    assert caught.value.details["queues"] == sorted(CARD_QUEUES)
    create_job(database, store, JobOrder([SOURCE], ["es"], load_settings("cpu")))
    with database.write() as session:
        session.get_one(Worker, "w2").state = "alive"
    create_job(database, store, order)


@pytest.mark.parametrize(("engine", "language"), [("kokoro", "nl"), ("mms", "ja"), ("seamless", "xh")])
def test_a_language_without_a_voice_is_refused_at_once(
    database: Database, tmp_path: Path, engine: str, language: str
) -> None:
    """It failed with the first cast, three stages later."""
    settings = load_settings(overrides=[f"dubbing.engine={engine}"])
    with pytest.raises(UsageError) as caught:
        create_job(database, Store(str(tmp_path / "store")), JobOrder([SOURCE], ["es", language], settings))
    assert caught.value.code == "unsupported_language" and f"“{language}”" in caught.value.message


def test_tasks_wait_where_they_can_be_done() -> None:
    settings = load_settings(overrides=["separation.device=cuda"])
    title = PlannedTitle(Job(), Title(), {}, Plan(()), card_queues(settings))
    assert title.queue(Task("separation/0000", "separation", Scope(chunk=0))) == "separation-gpu"
    assert title.queue(Task("stems/0000", "stems", Scope(chunk=0))) == "separation-gpu"
    assert title.queue(Task("dubbing/es/0000", "dubbing", Scope("es", 0))) == "dubbing"
