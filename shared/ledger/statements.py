"""Statements that every task needs, built once: most of the time between two tasks would go into building them.

They work on tables, past the session's objects, in a transaction that has locked the job's row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, case, insert, select, update
from sqlalchemy.orm import Session

from shared.ledger.tables import FINAL, Base

RUN, JOB, TITLE, NEED, EVENT = (Base.metadata.tables[name] for name in ("stage_run", "job", "title", "need", "event"))
OF_RUN = (
    RUN.c.id.label("run_id"),
    RUN.c.job_id,
    RUN.c.title,
    RUN.c.title_id,
    RUN.c.task,
    RUN.c.stage,
    RUN.c.language,
    RUN.c.attempt,
)
AT_WORK = (RUN.c.id == bindparam("b_run"), RUN.c.state == "running", RUN.c.owner == bindparam("b_owner"))

OLDEST = (
    select(RUN.c.id.label("run_id"), RUN.c.job_id, JOB.c.events, JOB.c.settings, JOB.c.traceparent)
    .join(JOB, JOB.c.id == RUN.c.job_id)
    .where(RUN.c.queue == bindparam("b_queue"), RUN.c.state == "ready")
    .order_by(RUN.c.id)
    .limit(1)
    .with_for_update(of=JOB)
)
"""The oldest ready task of a queue; its job is locked."""

UNHEARD = (
    select(*OF_RUN, RUN.c.scope, RUN.c.inputs, JOB.c.settings, JOB.c.traceparent)
    .join(JOB, JOB.c.id == RUN.c.job_id)
    .where(RUN.c.owner == bindparam("b_owner"), RUN.c.state == "running")
    .limit(1)
)

TAKE = (
    update(RUN)
    .where(RUN.c.id == bindparam("b_run"), RUN.c.state == "ready")
    .values(
        state="running",
        owner=bindparam("b_owner"),
        attempt=RUN.c.attempt + 1,
        started=bindparam("b_started"),
        progress=0.0,
    )
    .returning(*OF_RUN, RUN.c.scope, RUN.c.inputs)
)

MADE = (
    select(RUN.c.task, RUN.c.outputs).join(NEED, NEED.c.needs_id == RUN.c.id).where(NEED.c.run_id == bindparam("b_run"))
)
"""What the tasks that one needed have made."""

HELD = (
    select(*OF_RUN, JOB.c.state.label("job_state"), JOB.c.events, JOB.c.key_id)
    .join(JOB, JOB.c.id == RUN.c.job_id)
    .where(*AT_WORK)
    .with_for_update(of=JOB)
)
"""A task in a worker's hands; its job is locked."""

BOOK = (
    update(RUN)
    .where(*AT_WORK)
    .values(
        state="done",
        owner=None,
        error=None,
        progress=1.0,
        finished=bindparam("b_finished"),
        key=bindparam("b_key"),
        cached=bindparam("b_cached"),
        computed=RUN.c.computed + bindparam("b_computed"),
        outputs=bindparam("b_outputs", type_=RUN.c.outputs.type),
        seconds=bindparam("b_seconds"),
        engine_seconds=bindparam("b_engine_seconds"),
        counters=bindparam("b_counters", type_=RUN.c.counters.type),
        engines=bindparam("b_engines", type_=RUN.c.engines.type),
    )
)

COMPUTED = (
    select(JOB.c.key_id, RUN.c.seconds, RUN.c.engine_seconds, RUN.c.counters)
    .join(JOB, JOB.c.id == RUN.c.job_id)
    .where(RUN.c.key == bindparam("b_key"), RUN.c.cached.is_(False), RUN.c.state == "done")
)
"""Whose jobs a result was computed for."""

FREE = (
    update(RUN)
    .where(
        RUN.c.state == "waiting",
        RUN.c.id.in_(select(NEED.c.run_id).where(NEED.c.needs_id == bindparam("b_needed"))),
    )
    .values(waiting=RUN.c.waiting - 1, state=case((RUN.c.waiting <= 1, "ready"), else_=RUN.c.state))
    .returning(RUN.c.queue, RUN.c.state)
)
"""Those that waited for a task wait for one less."""

ONE_LESS = (
    update(TITLE)
    .where(TITLE.c.id == bindparam("b_title"))
    .values(open_runs=TITLE.c.open_runs - 1)
    .returning(TITLE.c.open_runs, TITLE.c.stale)
)

UNSPOKEN = (
    select(RUN.c.id)
    .where(RUN.c.title_id == bindparam("b_title"), RUN.c.stage == "dubbing", RUN.c.state.not_in(FINAL))
    .limit(1)
)

NOTE = insert(EVENT)
NOTED = (
    update(JOB)
    .where(JOB.c.id == bindparam("b_job"))
    .values(events=bindparam("b_seq"), runs_ended=JOB.c.runs_ended + bindparam("b_ended"))
)


def note(session: Session, job_id: str, seq: int, kind: str, data: Mapping[str, Any], ended: int = 0) -> None:
    """:func:`shared.ledger.database.append_event` for where the job is not at hand as an object.

    Args:
        seq: The event's number, one more than the job's latest.
        ended: Stage runs that came to their end with it.
    """
    known = {key: value for key, value in data.items() if value is not None}
    session.execute(NOTE, {"job_id": job_id, "seq": seq, "kind": kind, "data": known})
    session.execute(NOTED, {"b_job": job_id, "b_seq": seq, "b_ended": ended})
