"""An edit belongs to its line by time and text, whatever number that line has by now."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.core.edits import edit_of
from shared.core.records import Utterance
from shared.ledger.database import Database
from shared.ledger.edits import keep_edit, take_back_edits
from shared.ledger.tables import Base, Edit, Job, Title
from shared.queue.service_settings import ServiceSettings


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(ServiceSettings(data=tmp_path).sqlalchemy_url())
    Base.metadata.create_all(made.engine)
    return made


def line(number: int, start: float, text: str) -> Utterance:
    return Utterance(id=f"u{number:04}", start=start, end=start + 1, speaker="S1", language="en", text=text)


def test_another_lines_edit_stays_when_its_number_is_edited(database: Database) -> None:
    """The first line was split in two: what was u0002 is u0003 now, and u0002 is another line."""
    before = [line(1, 0.0, "Good evening. Please come in."), line(2, 4.0, "Thank you, Anna.")]
    after = [line(1, 0.0, "Good evening."), line(2, 1.5, "Please come in."), line(3, 4.0, "Thank you, Anna.")]
    with database.write() as session:
        job = Job(state="done", languages=["es"], settings={})
        session.add(job)
        session.flush()
        title = Title(job_id=job.id, position=0, name="film", source_kind="upload", source_name="f", languages=["es"])
        session.add(title)
        session.flush()
        keep_edit(session, title.id, "es", edit_of(before[1], "Gracias, Ana."), before, pending=True)
        session.query(Edit).update({"pending": False, "replaced": None})
        keep_edit(session, title.id, "es", edit_of(after[1], "Pase."), after, pending=True)
        texts = {edit.source: edit.text for edit in session.query(Edit)}
        assert texts == {"Thank you, Anna.": "Gracias, Ana.", "Please come in.": "Pase."}
        keep_edit(session, title.id, "es", edit_of(after[2], "Gracias."), after, pending=True)
        assert {edit.source: edit.text for edit in session.query(Edit)}["Thank you, Anna."] == "Gracias."
        take_back_edits(session, title)
        texts = {edit.source: edit.text for edit in session.query(Edit)}
        assert texts == {"Thank you, Anna.": "Gracias, Ana."}
