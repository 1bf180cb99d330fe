"""Plan the titles of a job again when a fact changes their plans.

Always called with the job locked, in the transaction that made the fact known: no crash comes between.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from shared.core.edits import stored_edits
from shared.core.store import Blob, Store, fetched
from shared.ledger.database import append_event
from shared.ledger.edits import title_edits
from shared.ledger.tables import FINAL, Event, Job, StageRun, Title
from shared.pipeline.ledger import Rows, enter_plan, task_rows
from shared.pipeline.planner import Known, Plan, Task, TitleRequest, plan
from shared.pipeline.stage import Scope, card_queues
from shared.queue.scheduling.completion import settle_title
from shared.queue.service_settings import FETCH
from shared.settings.models import Settings, stored_settings
from shared.transcripts.given_texts import EMBEDDED

UNREAD = "settings_unread"
"""Kind of the event that names settings of the job which this version does not know."""

log = logging.getLogger(__name__)


def sync_plan(session: Session, job: Job, titles: Iterable[Title], store: Store) -> dict[str, int]:
    """Plan titles again and enter what is new. Returns queue → tasks that became ready."""
    wakes: Counter[str] = Counter()
    settings = read_settings(session, job)
    cards = card_queues(settings)
    for title in titles:
        if title.error:
            wakes += Counter(settle_title(session, job, title))  # Given up: nothing more is planned.
            continue
        rows = task_rows(session, job, title)
        planned = planned_tasks(session, job, title, settings, store, rows)
        wakes += enter_plan(session, job, title, rows, planned, cards).ready
        wakes += Counter(settle_title(session, job, title))
    return wakes


def read_settings(session: Session, job: Job) -> Settings:
    """The job's settings. What this version cannot read of them is told once; the row keeps it."""
    settings, unread = stored_settings(job.settings)
    if unread:
        warned = select(Event.seq).where(Event.job_id == job.id, Event.kind == UNREAD).limit(1)
        if session.scalar(warned) is None:
            log.warning("settings of a job that this version does not know", extra={"job": job.id, "keys": unread})
            append_event(session, job, UNREAD, keys=list(unread))
    return settings


def planned_tasks(session: Session, job: Job, title: Title, settings: Settings, store: Store, rows: Rows) -> Plan:
    """The title's tasks, as the planner sees them now."""
    if title.video is None:
        scope = Scope(extra={"kind": title.source_kind, "locator": title.source, "title": title.id})
        return Plan([Task(FETCH, FETCH, scope)])
    failed = {task for task, row in rows.items() if row.state == "failed"}
    before = previous(session, job, title)
    request = title_request(session, title, before)
    ready = before is None or before.state in FINAL or cast_ready(session, before)
    return plan(request, settings, known(session, title, before, store, rows), failed, ready)


def previous(session: Session, job: Job, title: Title) -> Title | None:
    """The title before it in the job, whose cast it goes on from."""
    return session.scalar(select(Title).where(Title.job_id == job.id, Title.position == title.position - 1))


def title_request(session: Session, title: Title, before: Title | None) -> TitleRequest:
    edits = title_edits(session, title.id)
    assert title.video is not None
    return TitleRequest(
        name=title.name,
        source=Blob(**title.video),
        languages=tuple(title.languages),
        transcript=Blob(**title.transcript) if title.transcript else None,
        translations={language: Blob(**text) for language, text in (title.translations or {}).items()},
        embedded=title.subtitles == EMBEDDED,
        edits={language: stored_edits(some) for language, some in edits.items()},
        previous=before.name if before else None,
    )


def known(session: Session, title: Title, before: Title | None, store: Store, rows: Rows) -> Known:
    """What the planner may know: outputs of done tasks. Sound is not fetched: the planner asks only whether it is."""
    ids = {item.name: item.id for item in (title, before) if item is not None}

    def find(name: str, task: str, output: str) -> Any:
        if name not in ids:
            return None
        if name == title.name and (task not in rows or rows[task].state != "done"):
            return None
        if not output.endswith(".json"):
            return Path(output)
        wanted = select(StageRun.outputs).where(
            StageRun.title_id == ids[name], StageRun.task == task, StageRun.state == "done"
        )
        outputs = session.scalar(wanted)
        if not outputs or output not in outputs:
            return None
        blob = Blob(**outputs[output])
        if name != title.name:
            return blob  # Of the title before, the blob itself becomes an input.
        return fetched(store, blob, task)

    return find


def cast_ready(session: Session, before: Title) -> bool:
    """Whether every language of the title before has its cast, or never will."""
    rows = session.execute(
        select(StageRun.task, StageRun.state, StageRun.language).where(
            StageRun.title_id == before.id,
            (StageRun.stage == "cast") | (StageRun.state == "failed"),
        )
    ).all()
    settled = {row.language for row in rows if row.state == "failed"}
    settled |= {row.task.partition("/")[2] for row in rows if row.state == "done"}
    return set(before.languages) <= settled
