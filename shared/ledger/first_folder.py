"""Reads the state database of output folders of the first version, which had tables of their own.

They were ``job`` (a run: created, finished, state, settings), ``title``, ``edit``, ``stage_run`` and ``event``, with
numbers for ids and without ``alembic_version``.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from shared.ledger.database import Database
from shared.ledger.migrate import upgrade_database
from shared.ledger.tables import Edit, Event, Job, StageRun, Title, new_id


def is_first(tables: Collection[str]) -> bool:
    """Whether a database with these tables is one of the first version."""
    return "title" in tables and "alembic_version" not in tables


def convert(path: Path, connect: Callable[[Path], Database]) -> None:
    """Put a database with today's tables and all that it held in the place of an old one.

    Killed at any time it leaves the old one or the new one whole.

    Raises:
        OSError: The new one cannot be written.
    """
    fresh = path.with_name(path.name + ".new")
    for leftover in fresh.parent.glob(f"{fresh.name}*"):
        leftover.unlink()
    database = connect(fresh)
    try:
        upgrade_database(database)
        # Closing the only connection also brings what its write-ahead log held into the file.
        with closing(sqlite3.connect(path)) as old, database.write() as session:
            old.row_factory = sqlite3.Row
            copy_all(old, session)
    finally:
        database.close()
    fresh.replace(path)


def copy_all(old: sqlite3.Connection, session: Session) -> None:
    """Runs, titles, edits, tasks and events, as rows of today."""
    jobs: dict[int, str] = {}
    titles: dict[int, int] = {}
    by_name: dict[str, int] = {}
    sequence: Counter[str] = Counter()
    for row in rows(old, "SELECT * FROM job ORDER BY id"):
        jobs[row["id"]] = new_id("job")
        job = Job(id=jobs[row["id"]], state=row["state"], languages=[], settings=load(row["settings"]))
        job.created, job.finished, job.summary = time(row["created"]), time(row["finished"]), load(row["summary"])
        session.add(job)
    if not jobs:  # Killed between entering its titles and entering itself.
        jobs[0] = new_id("job")
        session.add(Job(id=jobs[0], state="cancelled", languages=[], settings={}))
    session.flush()
    for position, row in enumerate(rows(old, "SELECT * FROM title ORDER BY position, id")):
        title = Title(
            job_id=min(jobs.items())[1],
            position=position,
            name=row["name"],
            source_kind="path",
            source=row["source"],
            source_name=Path(row["source"]).name[:255],
            transcript={"path": row["transcript"]} if row["transcript"] else None,
            languages=load(row["languages"]),
            settings=load(row.get("settings")),
            state=row["state"],
            error=load(row["error"]),
        )
        session.add(title)
        session.flush()
        titles[row["id"]] = by_name[row["name"]] = title.id
    for row in rows(old, "SELECT * FROM edit ORDER BY id"):
        known = {name: row.get(name) for name in ("language", "utterance", "text", "start", "end", "source")}
        session.add(Edit(title_id=titles[row["title_id"]], created=time(row["created"]), **known))
    for row in rows(old, "SELECT * FROM stage_run ORDER BY id"):
        same = {name: row[name] for name in ("title", "task", "stage", "language", "key", "state", "seconds")}
        run = StageRun(job_id=jobs[row["job_id"]], title_id=by_name.get(row["title"]), queue="", **same)
        run.cached, run.computed, run.engine_seconds = bool(row["cached"]), 1 - row["cached"], row["engine_seconds"]
        run.started, run.counters, run.error = time(row["started"]), load(row["counters"]), load(row["error"])
        session.add(run)
    for row in rows(old, "SELECT * FROM event ORDER BY seq"):
        job_id = jobs[row["job_id"]]
        sequence[job_id] += 1
        event = Event(job_id=job_id, seq=sequence[job_id], kind=row["kind"], data=load(row["data"]))
        event.at = time(row["at"])
        session.add(event)
    session.flush()
    for job_id, count in sequence.items():
        session.get_one(Job, job_id).events = count


def rows(old: sqlite3.Connection, query: str) -> Iterator[dict[str, Any]]:
    """Rows by column; a column that came later is not in all of them."""
    for row in old.execute(query):
        yield dict(row)


def load(value: str | None) -> Any:
    return None if value is None else json.loads(value)


def time(value: str | None) -> Any:
    """A stored time; they were UTC, without saying so."""
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)
