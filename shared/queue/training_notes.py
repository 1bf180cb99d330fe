"""What the worker that trains writes down. Nothing of it is taken from a worker that has lost the task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.orm import Session

from shared.core.store import Blob
from shared.ledger.database import Database, append_event
from shared.ledger.tables import FINAL, Artifact, Job, now
from shared.ledger.training_tables import Training, TrainingPoint
from shared.pipeline.ledger import close_task, task_facts
from shared.queue.scheduling.claims import owned, owned_and_wanted
from shared.queue.scheduling.completion import job_ended
from shared.queue.worker.delivery import keep

CHECKPOINT = "checkpoint.pt"
"""The artifact that is a training's newest checkpoint."""


class MetricPoint(NamedTuple):
    """One line of metrics."""

    step: int
    kind: str
    """train or validation."""
    data: Mapping[str, Any]


def read_training(database: Database, training_id: str) -> Training:
    with database.read() as session:
        return session.get_one(Training, training_id)


def unfinished(database: Database) -> set[str]:
    """Trainings that are to be done yet."""
    with database.read() as session:
        return set(session.scalars(select(Job.id).where(Job.kind == "training", Job.state.not_in(FINAL))))


def sources(database: Database, jobs: Sequence[str]) -> dict[str, dict[str, Blob]]:
    """Job → its files by their path in the output layout; a job that was deleted is left out."""
    files_by_job: dict[str, dict[str, Blob]] = {}
    with database.read() as session:
        for job_id in jobs:
            rows = session.scalars(select(Artifact).where(Artifact.job_id == job_id, Artifact.internal.is_(False)))
            files = {row.path: Blob(row.name, row.sha256, row.size) for row in rows.all()}
            if files:
                files_by_job[job_id] = files
    return files_by_job


def note_phase(database: Database, run_id: int, worker: str, phase: str, **facts: Any) -> None:
    """The training has come to its next part."""
    with database.write() as session:
        if (mine := owned(session, run_id, worker)) is None:
            return
        training = session.get_one(Training, mine[0].id)
        training.phase = phase
        training.started = training.started or now()
        append_event(session, mine[0], "training_phase", phase=phase, **facts)


def note_data(database: Database, run_id: int, worker: str, listed: Blob) -> None:
    """Which files it reads, from now on."""
    with database.write() as session:
        if (mine := owned(session, run_id, worker)) is not None:
            session.get_one(Training, mine[0].id).data = asdict(listed)


def note_points(
    database: Database, run_id: int, worker: str, points: Sequence[MetricPoint], share: float, *, aloud: bool
) -> None:
    """Enter lines of metrics. One that is there already (the training went on from an earlier step) is replaced.

    Args:
        share: Finished part of the training, 0–1.
        aloud: Whether an event tells of them; the newest values only.
    """
    newest = {(point.step, point.kind): dict(point.data) for point in points}
    with database.write() as session:
        if (mine := owned(session, run_id, worker)) is None:
            return
        job, run = mine
        training = session.get_one(Training, job.id)
        if newest:
            replace(session, job.id, newest)
            training.latest = {**training.latest, **merged(newest)}
            training.step = max(step for step, _ in newest)
        training.progress = run.progress = share
        if aloud:
            append_event(session, job, "training_progress", progress=round(share, 4), **training.latest)


def replace(session: Session, training_id: str, points: Mapping[tuple[int, str], dict[str, Any]]) -> None:
    keys = list(points)
    for at in range(0, len(keys), 400):
        part = keys[at : at + 400]
        same = tuple_(TrainingPoint.step, TrainingPoint.kind).in_(part)
        session.execute(delete(TrainingPoint).where(TrainingPoint.training_id == training_id, same))
    rows = [{"training_id": training_id, "step": step, "kind": kind, "data": points[step, kind]} for step, kind in keys]
    session.execute(insert(TrainingPoint), rows)


def merged(points: Mapping[tuple[int, str], Mapping[str, Any]]) -> dict[str, Any]:
    line: dict[str, Any] = {}
    for key in sorted(points):
        line |= points[key]
    return line


def points_until(database: Database, training_id: str, step: int) -> Iterable[Mapping[str, Any]]:
    """The lines of metrics up to a step, in order."""
    with database.read() as session:
        wanted = select(TrainingPoint.data).where(TrainingPoint.training_id == training_id, TrainingPoint.step <= step)
        return list(session.scalars(wanted.order_by(TrainingPoint.step, TrainingPoint.kind)))


def note_files(
    database: Database, run_id: int, worker: str, files: Mapping[str, Blob], step: int | None = None
) -> Blob | None:
    """Publish files of a running training.

    Args:
        step: Of the checkpoint among them, if there is one. A training that goes forward may lose its worker again.

    Returns:
        The checkpoint before it, if no training needs it any more.
    """
    with database.write() as session:
        if (mine := owned(session, run_id, worker)) is None:
            return None
        job, run = mine
        publish(session, job, files)
        if step is None:
            return None
        training = session.get_one(Training, job.id)
        before, kept = training.checkpoint, files[CHECKPOINT]
        training.checkpoint = {"step": step, **asdict(kept)}
        run.attempt = min(run.attempt, 1)
        append_event(session, job, "training_checkpoint", step=step, bytes=kept.size)
        session.flush()
        if before is None or before["sha256"] == kept.sha256 or needed(session, before["sha256"]):
            return None
        return Blob(before["name"], before["sha256"], before["size"])


def publish(session: Session, job: Job, files: Mapping[str, Blob]) -> None:
    session.execute(delete(Artifact).where(Artifact.job_id == job.id, Artifact.path.in_(files)))
    keep(session, job.id, "", files)


def needed(session: Session, sha256: str) -> bool:
    """Whether a training has this checkpoint or starts from it."""
    using = Training.checkpoint["sha256"].as_string() == sha256, Training.initial["sha256"].as_string() == sha256
    return session.scalar(select(Training.id).where(using[0] | using[1]).limit(1)) is not None


def finish_training(database: Database, run_id: int, worker: str, files: Mapping[str, Blob]) -> dict[str, int]:
    """Book the end of a training."""
    with database.write() as session:
        mine = owned_and_wanted(session, run_id, worker)
        if mine is None:
            return {}
        job, run = mine
        publish(session, job, files)
        training = session.get_one(Training, job.id)
        training.progress = 1.0
        job.summary = {"step": training.step, **training.latest}
        close_task(session, job, run, "done")
        append_event(session, job, "task_done", **task_facts(run))
        job_ended(session, job, "done", **job.summary)
        return {}
