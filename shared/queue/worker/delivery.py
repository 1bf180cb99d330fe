"""Laying a finished title out, and making the tables and the report of a whole job.

The files stay in the store; what the output folder is to the command line (``docs/output.md``), rows of ``artifact``
are to the services.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from shared.core.edits import unspoken
from shared.core.errors import CounterdubError
from shared.core.records import SCHEMA_VERSION
from shared.core.store import Blob, Store, fetched
from shared.ledger.database import Database, append_event
from shared.ledger.edits import take_back_edits
from shared.ledger.tables import FINAL, Artifact, Edit, Job, StageRun, Title
from shared.pipeline import publish
from shared.pipeline.ledger import TitleOutcome, batches, close_task, task_facts, task_rows, timings, title_outcome
from shared.pipeline.planner import Task, task_language
from shared.pipeline.stage import Scope
from shared.pipeline.task_runner import Performer
from shared.queue import job_commands, trainings
from shared.queue.scheduling.claims import following, owned_and_wanted
from shared.queue.scheduling.completion import job_ended, title_ended
from shared.queue.scheduling.disclosure import disclose
from shared.queue.scheduling.plan_sync import planned_tasks, previous, sync_plan, title_request
from shared.schemas.provenance import signer
from shared.settings.models import stored_settings

INTERNAL, STAGED = ".internal/", ".staged/"
"""Before paths of what tables and report are made of, and of what is shown once those are made."""


def deliver(
    database: Database, store: Store, run_id: int, worker: str, title_id: int, signing_key: Path | None = None
) -> dict[str, int]:
    """Enter a title's files as artifacts and end the title.

    Raises:
        UsageError: ``bad_signing_key``.
    """
    sign = signer(signing_key)
    with database.read() as session:
        title = session.get_one(Title, title_id)
        job = session.get_one(Job, title.job_id)
        finished = delivered(session, job, title, store)
        spent = timings(session, job, title)
    files = publish.layout(finished) if finished else {}
    inner = publish.internals(finished) if finished else {}
    record = publish.title_record(finished, store, spent) if finished else unfetched(title)
    records = {"title.json": record}
    if finished and not title.error:
        records["provenance.json"] = publish.provenance_record(finished, record, sign)
    with store.workspace() as folder:
        for name, value in records.items():
            path = folder / name
            path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            files[f"{title.name}/{name}"] = store.add(name, path, move=True)
    with database.write() as session:
        mine = owned_and_wanted(session, run_id, worker)
        if mine is None:
            return {}
        job, run = mine
        title = session.get_one(Title, title_id)
        wrong = edit_trouble(session, store, title, finished)
        if wrong is not None:
            return take_back(session, store, job, run, title, wrong)
        of_title = Artifact.job_id == job.id, Artifact.title == title.name
        session.execute(delete(Artifact).where(*of_title, Artifact.path.startswith(STAGED, autoescape=True)))
        # A title that is made again is shown together with the tables that belong to it, not before.
        staged = session.scalar(select(Artifact.path).where(*of_title).limit(1)) is not None
        prefix = STAGED if staged else ""
        keep(session, job.id, title.name, files, prefix)
        keep(session, job.id, title.name, {f"{title.name}/{n}": blob for n, blob in inner.items()}, prefix + INTERNAL)
        close_task(session, job, run, "done")
        append_event(session, job, "task_done", **task_facts(run))
        wakes = dict(title_ended(session, job, title))
        for queue, count in sync_plan(session, job, following(session, job, title), store).items():
            wakes[queue] = wakes.get(queue, 0) + count
        return wakes


def edit_trouble(session: Session, store: Store, title: Title, run: TitleOutcome | None) -> dict[str, Any] | None:
    """Why an edit that the title was run again for came to nothing, if it did."""
    pending = list(session.scalars(select(Edit).where(Edit.title_id == title.id, Edit.pending)))
    if not pending:
        return None
    if title.error or run is None:
        return title.error or {"code": "fetch_failed", "message": "The video is not here."}
    languages = {edit.language for edit in pending}
    for task, error in run.failed.items():
        if task_language(task) in languages:
            return error.to_dict()
    for task, done in run.done.items():
        wanted = {edit.utterance for edit in pending if task.startswith(f"dubbing/{edit.language}/")}
        silent = unspoken(fetched(store, done.outputs["dubbed.jsonl"], task), wanted) if wanted else None
        if silent is not None:
            message = f"The new text of {silent[0]} cannot be spoken ({silent[1]})."
            return CounterdubError(message, code="text_not_spoken", stage="dubbing").to_dict()
    return None


def take_back(
    session: Session, store: Store, job: Job, run: StageRun, title: Title, wrong: Mapping[str, Any]
) -> dict[str, int]:
    """Go back to the lines before an edit that failed: what they became is in the store, and was shown all along."""
    for edit in take_back_edits(session, title):
        told_of = {"title": title.name, "language": edit.language, "utterance": edit.utterance}
        append_event(session, job, "edit_failed", **told_of, text=edit.text, error=dict(wrong))
    close_task(session, job, run, "done")
    append_event(session, job, "task_done", **task_facts(run))
    broken = StageRun.title_id == title.id, StageRun.state.in_(job_commands.BROKEN)
    session.execute(delete(StageRun).where(*broken))
    session.execute(delete(StageRun).where(StageRun.id == run.id))
    title.error, title.plan_complete, title.stale = None, False, False
    session.flush()
    job.runs = session.scalar(select(func.count()).where(StageRun.job_id == job.id)) or 0
    ended = StageRun.job_id == job.id, StageRun.state.in_(FINAL)
    job.runs_ended = session.scalar(select(func.count()).where(*ended)) or 0
    return sync_plan(session, job, [title], store)


def delivered(session: Session, job: Job, title: Title, store: Store) -> TitleOutcome | None:
    """What became of a title; None if its video never came."""
    if title.video is None:
        return None
    settings, _ = stored_settings(job.settings)
    request = replace(title_request(session, title, previous(session, job, title)), source_name=title.source_name)
    plan = planned_tasks(session, job, title, settings, store, task_rows(session, job, title))
    return title_outcome(session, job, title, request, plan)


def unfetched(title: Title) -> dict[str, Any]:
    """``title.json`` of a title whose video could not be fetched."""
    return {
        "schema_version": SCHEMA_VERSION,
        "title": title.name,
        "source_name": title.source_name,
        "languages": list(title.languages),
        "tracks": [],
        "failed": {"fetch": title.error},
    }


def keep(session: Session, job_id: str, title: str, files: Mapping[str, Blob], prefix: str = "") -> None:
    """Enter files as artifacts; those with a prefix are not shown."""
    rows = [
        {"job_id": job_id, "path": prefix + path, "title": title, "internal": bool(prefix)}
        | {"name": blob.name, "sha256": blob.sha256, "size": blob.size}
        for path, blob in files.items()
    ]
    if rows:
        session.execute(insert(Artifact), rows)


def show_staged(session: Session, job_id: str) -> None:
    """Put the files of titles that were made again in the place of those before, and keep the edits they came of."""
    of_job = Artifact.job_id == job_id, Artifact.title != ""
    again = Artifact.path.startswith(STAGED, autoescape=True)
    names = list(session.scalars(select(Artifact.title).where(*of_job, again).distinct()))
    for part in batches(names):
        session.execute(delete(Artifact).where(*of_job, Artifact.title.in_(part), ~again))
    bare = func.substr(Artifact.path, len(STAGED) + 1)
    inner = Artifact.path.startswith(STAGED + INTERNAL, autoescape=True)
    session.execute(
        update(Artifact)
        .where(*of_job, again)
        .values(internal=inner, path=bare)
        .execution_options(synchronize_session=False)
    )
    titles = select(Title.id).where(Title.job_id == job_id)
    session.execute(update(Edit).where(Edit.title_id.in_(titles), Edit.pending).values(pending=False, replaced=None))


def summarise(
    database: Database,
    performer: Performer,
    run_id: int,
    worker: str,
    job_id: str,
    cancelled: threading.Event,
    report: Callable[[float], None],
) -> dict[str, int]:
    """Make the job's tables and report from all its titles, end the job, and begin the trainings that waited for it."""
    with database.read() as session:
        job = session.get_one(Job, job_id)
        titles = session.execute(
            select(Title.name, Title.state, Title.error).where(Title.job_id == job_id).order_by(Title.position)
        ).all()
        inputs = dataset_inputs(session, job_id)
    failures = {title.name: title.error for title in titles if title.state == "failed"}
    scope = Scope(extra={"titles": [title.name for title in titles], "failed": failures})
    settings, _ = stored_settings(job.settings)
    done = performer.perform(Task("dataset", "dataset", scope), inputs, settings, cancelled, report)
    table = json.loads(performer.store.fetch(done.outputs["report.json"]).read_text(encoding="utf-8"))
    with database.write() as session:
        mine = owned_and_wanted(session, run_id, worker)
        if mine is None:
            return {}
        job, run = mine
        show_staged(session, job.id)
        session.execute(delete(Artifact).where(Artifact.job_id == job.id, Artifact.title == ""))
        keep(session, job.id, "", done.outputs)
        run.computed += not done.cached
        done = disclose(session, done, job.key_id)
        run.key, run.cached, run.seconds = done.key, done.cached, done.seconds
        close_task(session, job, run, "done")
        append_event(session, job, "task_done", **task_facts(run), cached=done.cached, seconds=round(done.seconds, 3))
        notes = {title["title"]: title["notes"] for title in table.get("titles", ()) if title["notes"]}
        job.summary = {name: table[name] for name in ("accepted", "rejected")} | ({"notes": notes} if notes else {})
        if job.titles_failed == job.titles:
            job_ended(session, job, "failed", **job.summary)
            return {}
        training, wakes = trainings.then_train(session, job)
        if training:
            job.summary = {**job.summary, "training": training}
        job_ended(session, job, "done", **job.summary)
        job.summary = {**job.summary, "tracks": {name: track["accepted"] for name, track in table["tracks"].items()}}
        session.flush()
        return Counter(wakes) + Counter(trainings.start_waiting(session, job.key_id))


def dataset_inputs(session: Session, job_id: str) -> dict[str, Blob]:
    """What the tables and the report are made of, by the names that the stage knows."""
    columns = Artifact.path, Artifact.name, Artifact.sha256, Artifact.size, Artifact.title
    rows = session.execute(select(*columns).where(Artifact.job_id == job_id, Artifact.title != "")).all()
    again = {row.title for row in rows if row.path.startswith(STAGED)}
    inputs = {}
    for row in rows:
        if row.title in again and not row.path.startswith(STAGED):
            continue
        there = row.path.removeprefix(STAGED)
        path = there.removeprefix(INTERNAL)
        wanted = there != path or path.endswith("/title.json") or ("/utterances/" in path and path.endswith(".jsonl"))
        if wanted:
            inputs[path] = Blob(row.name, row.sha256, row.size)
    return inputs
