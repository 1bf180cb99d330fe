"""What a caller may know of a result: not that somebody else had the same video."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.orm import Session

from shared.ledger.statements import COMPUTED
from shared.pipeline.task_runner import Done


def disclose(session: Session, done: Done, key_id: str | None) -> Done:
    """A result as a job of this key has it: found only where it was made for a job of the same key.

    One that was made for another key is shown as computed, with the time and the counts that it took there.
    """
    if not done.cached or key_id is None:
        return done
    before = list(session.execute(COMPUTED, {"b_key": done.key}))
    if any(row.key_id == key_id for row in before):
        return done
    if not before:  # Its job was deleted, or its worker killed before it could book it.
        return replace(done, cached=False)
    first = before[0]
    return replace(
        done, cached=False, seconds=first.seconds, engine_seconds=first.engine_seconds, counters=dict(first.counters)
    )
