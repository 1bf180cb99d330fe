"""Ledgers for runs that have no output folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select

from shared.ledger.folder import open_folder_ledger
from shared.ledger.tables import Title
from shared.pipeline.planner import TitleRequest
from shared.pipeline.run import begin_run
from shared.pipeline.run_ledger import RunLedger
from shared.settings.models import Settings


@contextmanager
def run_ledger(path: Path, requests: Sequence[TitleRequest], settings: Settings) -> Iterator[RunLedger]:
    """A run entered into the ledger at ``path``, which earlier runs may have made."""
    database = open_folder_ledger(path)
    try:
        with database.write() as session:
            job = begin_run(session, settings, [])
            there = {title.name: title for title in session.scalars(select(Title))}
            for request in requests:
                if request.name not in there:
                    title = Title(job_id=job.id, position=len(there), name=request.name, languages=[])
                    title.source_kind, title.source_name = "path", request.name
                    session.add(title)
                    there[request.name] = title
            session.flush()
            titles = {request.name: there[request.name].id for request in requests}
        yield RunLedger(database, job.id, titles)
    finally:
        database.close()
