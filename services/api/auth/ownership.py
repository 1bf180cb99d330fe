"""Whose job it is: every id in a request is looked up through here."""

from __future__ import annotations

from typing import Annotated, TypeVarTuple

from fastapi import Path
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from services.api.auth.keys import Caller
from services.api.http.problems import Refused, not_found
from shared.ledger.tables import FINAL, Artifact, Job, Title
from shared.ledger.training_tables import Training

JOB_ID = r"^job_[0-9a-f]{32}$"
JobId = Annotated[str, Path(pattern=JOB_ID, description="Id of a job.", examples=["job_" + "0" * 32])]
Columns = TypeVarTuple("Columns")
TRAINING_ID = r"^trn_[0-9a-f]{32}$"
TrainingId = Annotated[str, Path(pattern=TRAINING_ID, description="Id of a training.", examples=["trn_" + "0" * 32])]


def own_job(session: Session, caller: Caller, job_id: str) -> Job:
    """The caller's job. Another's looks as if it did not exist.

    Raises:
        Refused: 404.
    """
    job = session.get(Job, job_id)
    if job is None or not caller.owns(job.key_id):
        raise not_found()
    return job


def callers_jobs(query: Select[*Columns], caller: Caller) -> Select[*Columns]:
    """A query over jobs (trainings too) that gives the caller's only."""
    return query if caller.sees_all else query.where(Job.key_id == caller.key_id)


def own_training(session: Session, caller: Caller, training_id: str) -> tuple[Job, Training]:
    """The caller's training: its row of ``job``, and what jobs have not. Another's looks as if it did not exist.

    Raises:
        Refused: 404.
    """
    job, training = session.get(Job, training_id), session.get(Training, training_id)
    if job is None or training is None or not caller.owns(job.key_id):
        raise not_found("There is no such training, or it is not yours.")
    return job, training


def one_title(session: Session, job: Job, name: str | None) -> Title:
    """The title of that name, or the only one.

    Raises:
        Refused: ``unknown_title``: 404, or 422 where one has to be named.
    """
    titles = select(Title).where(Title.job_id == job.id)
    if name is not None:
        title = session.scalars(titles.where(Title.name == name)).first()
        if title is None:
            raise not_found(f"The job has no title “{name}”.", "unknown_title")
        return title
    matching = list(session.scalars(titles.limit(2)))
    if len(matching) != 1:
        raise Refused(422, "unknown_title", "The job has several titles: name one with the query parameter title.")
    return matching[0]


def artifact(session: Session, job: Job, path: str) -> Artifact:
    """A finished file of the job by its path in the output layout.

    Raises:
        Refused: 404, ``not_ready`` (retryable) while the job may still make it.
    """
    row = session.get(Artifact, (job.id, path))
    if row is None or row.internal:
        if job.state not in FINAL:
            raise Refused(404, "not_ready", "This is not there yet: the job is still running.", retryable=True)
        raise not_found("The job has no such file.")
    return row
