"""Sweep of the artifact store: removes what nothing refers to any more, of deleted jobs, expired uploads, old results.

What the database names is kept, and everything younger than a while: work that goes on stores its files before it
books them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select

from shared.core.store import Blob, Store
from shared.ledger.database import Database
from shared.ledger.tables import FINAL, Artifact, Event, Job, StageRun, Title, Upload
from shared.ledger.training_tables import Training

log = logging.getLogger(__name__)

BATCH = 1000


def sweep(database: Database, store: Store, idle_s: float, dry: bool = False) -> tuple[int, int]:
    """Remove files that nothing refers to and that nobody has used for ``idle_s`` seconds.

    Args:
        dry: Only count.

    Returns:
        Files and bytes.

    Raises:
        StorageError: ``database_away``, ``store_away``.
    """
    # The listing first: what is booked after it is young, or found below.
    old = dict(store.idle(idle_s))
    kept = referenced(database, store)
    gone = {address: size for address, size in old.items() if address.rpartition("/")[2].partition(".")[0] not in kept}
    if not dry:
        # What was found or stored since then may be about to be booked.
        gone = {address: old[address] for address in store.discard(gone, idle_s)}
        log.info("store swept", extra={"files": len(gone), "bytes": sum(gone.values())})
    return len(gone), sum(gone.values())


def referenced(database: Database, store: Store) -> set[str]:
    """Hashes of all files that the database names, and of those that the data of unfinished trainings do."""
    hashes_in_use: set[str] = set()
    with database.read() as session:
        hashes_in_use.update(session.scalars(select(Artifact.sha256)))
        for columns in (
            (StageRun.inputs, StageRun.outputs),
            (Title.video, Title.transcript, Title.translations),
            (Upload.blob,),
            (Training.initial, Training.data, Training.checkpoint),
        ):
            for row in session.execute(select(*columns).execution_options(yield_per=BATCH)):
                hashes_in_use.update(hashes(list(row)))
        # Earlier versions of a line are told from its events.
        edits = select(Event.data).where(Event.kind == "line_edited").execution_options(yield_per=BATCH)
        for data in session.scalars(edits):
            hashes_in_use.update(hashes(data))
        running = select(Training.data).join(Job, Job.id == Training.id)
        lists = session.scalars(running.where(Job.state.not_in(FINAL), Training.data.is_not(None))).all()
    for blob in lists:
        if blob:
            hashes_in_use.update(hashes(json.loads(store.fetch(Blob(**blob)).read_bytes())))
    return hashes_in_use


def hashes(value: Any) -> Iterator[str]:
    """Every ``sha256`` in a JSON value."""
    if isinstance(value, Mapping):
        if isinstance(value.get("sha256"), str):
            yield value["sha256"]
        for item in value.values():
            yield from hashes(item)
    elif isinstance(value, list):
        for item in value:
            yield from hashes(item)
