"""What callers ask of trainings: begin one, have one begin when there are enough pairs, go on with one.

As in :mod:`shared.queue.job_commands`, each function is one transaction and returns what became ready in which queue.
Cancelling and deleting are a job's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from shared.core.errors import UsageError
from shared.ledger.database import Database, append_event
from shared.ledger.tables import Job, StageRun, new_id
from shared.ledger.training_tables import Training
from shared.queue.job_commands import Wakes, ended_job
from shared.queue.scheduling.completion import add_internal

KIND, TASK, QUEUE = "training", "train", "trainer"
LOCK = 0x7472


@dataclass(frozen=True)
class TrainingOrder:
    """What is to be trained.

    Attributes:
        overrides: Settings over the recipe's, as nested tables.
        jobs: Jobs whose accepted pairs are the data.
        wanted: Instead of jobs: ``{accepted_pairs, languages}`` to wait for.
        initial: ``{training, name, sha256, size}`` of the checkpoint whose weights it starts from.
    """

    recipe: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    jobs: Sequence[str] = ()
    wanted: Mapping[str, Any] | None = None
    initial: Mapping[str, Any] | None = None
    name: str = ""


def create_training(
    database: Database,
    order: TrainingOrder,
    *,
    key_id: str | None = None,
    traceparent: str | None = None,
    within: Callable[[Session, str], None] = lambda session, training_id: None,
) -> tuple[str, Wakes]:
    """Enter a training; returns its id. One that waits for pairs begins at once where there are enough.

    Args:
        within: Called first in its transaction with the id it will have, as in
            :func:`shared.queue.job_commands.create_job`.
    """
    training_id = new_id("trn")
    with database.write() as session:
        within(session, training_id)
        job = enter(session, training_id, order, key_id, traceparent=traceparent)
        wakes = start_waiting(session, key_id) if order.wanted else begin(session, job)
    return training_id, wakes


def enter(
    session: Session,
    training_id: str,
    order: TrainingOrder,
    key_id: str | None,
    *,
    from_job: str | None = None,
    traceparent: str | None = None,
) -> Job:
    """The rows of a training, waiting."""
    job = Job(id=training_id, key_id=key_id, kind=KIND, name=order.name, state="waiting", languages=[], settings={})
    job.traceparent = traceparent
    session.add(job)
    session.flush()
    training = Training(id=training_id, recipe=order.recipe, overrides=dict(order.overrides), jobs=list(order.jobs))
    training.from_job = from_job
    if order.wanted is not None:
        training.wanted = dict(order.wanted)
    if order.initial is not None:
        training.initial = dict(order.initial)
    session.add(training)
    facts = {"jobs": list(order.jobs)[:100], "when": training.wanted, "from_job": from_job}
    append_event(session, job, "training_created", recipe=order.recipe, **facts)
    session.flush()
    return job


def begin(session: Session, job: Job) -> Wakes:
    """Put a training's task into the queue."""
    job.state = "running"
    add_internal(session, job, TASK, queue=QUEUE)
    return {QUEUE: 1}


def then_train(session: Session, job: Job) -> tuple[str | None, Wakes]:
    """The training that a finished job was to end with, unless it had it before. The job is locked.

    Returns:
        Its id, None where there is none, and what became ready.
    """
    if job.then_train is None:
        return None, {}
    there = session.scalar(select(Training.id).where(Training.from_job == job.id))
    if there is not None:
        return there, {}
    order = TrainingOrder(job.then_train, jobs=[job.id], name=job.name)
    made = enter(session, new_id("trn"), order, job.key_id, from_job=job.id, traceparent=job.traceparent)
    return made.id, begin(session, made)


def start_waiting(session: Session, key_id: str | None) -> Wakes:
    """Begin the caller's trainings that have waited for as many pairs as there are now.

    Called in the transaction that ends a job or enters such a training. Transactions of the same caller do this one
    after the other: of two jobs that end at once, the second sees the first's pairs, and only it finds them enough.
    """
    if session.get_bind().dialect.name == "postgresql":
        # SQLite has one writer anyway.
        session.execute(select(func.pg_advisory_xact_lock(LOCK, func.hashtext(key_id or ""))))
    waiting = select(Job, Training).join(Training, Training.id == Job.id)
    waiting = waiting.where(Job.key_id == key_id, Job.state == "waiting").order_by(Job.created, Job.id)
    wakes: dict[str, int] = {}
    for job, training in session.execute(waiting.with_for_update(of=Job)).all():
        wanted = training.wanted or {}
        pairs_by_job = accepted(session, key_id, wanted.get("languages") or ())
        if sum(pairs_by_job.values()) >= wanted["accepted_pairs"]:
            training.jobs = list(pairs_by_job)
            append_event(
                session, job, "training_triggered", accepted_pairs=sum(pairs_by_job.values()), jobs=training.jobs[:100]
            )
            for queue, count in begin(session, job).items():
                wakes[queue] = wakes.get(queue, 0) + count
    return wakes


def accepted(session: Session, key_id: str | None, languages: Sequence[str]) -> dict[str, int]:
    """The caller's finished jobs, oldest first → accepted rows in these languages (all of them: in any track)."""
    done = select(Job.id, Job.summary).where(Job.key_id == key_id, Job.kind == "job", Job.state == "done")
    pairs_by_job = {}
    for job_id, summary in session.execute(done.order_by(Job.created, Job.id)):
        by_track = summary.get("tracks") or {}
        rows = sum(by_track.get(name, 0) for name in languages) if languages else summary.get("accepted", 0)
        if rows:
            pairs_by_job[job_id] = rows
    return pairs_by_job


def resume_training(
    database: Database, training_id: str, within: Callable[[Session], None] = lambda session: None
) -> Wakes:
    """Go on with a failed or cancelled training, from its last checkpoint if there is one.

    Args:
        within: Called first in its transaction; refuses by raising.

    Raises:
        UsageError: ``no_such_job``, ``job_running`` or ``nothing_to_retry``.
    """
    with database.write() as session:
        within(session)
        job = ended_job(session, training_id)
        if job.state == "done":
            raise UsageError("This training is finished.", code="nothing_to_retry")
        training = session.get_one(Training, training_id)
        session.execute(delete(StageRun).where(StageRun.job_id == job.id))
        job.runs = job.runs_ended = 0
        job.finished, training.phase = None, "queued"
        append_event(session, job, "training_resumed", step=training.step)
        if training.jobs:
            return begin(session, job)
        job.state = "waiting"
        session.flush()
        return start_waiting(session, job.key_id)
