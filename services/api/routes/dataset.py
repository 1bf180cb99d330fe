"""``/v1/dataset``: the rows of pairs.parquet and rejects.parquet of one or more jobs, column by column.

Made for thresholds that are tried out: who has the columns can judge every row again without asking.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.api.auth.keys import Caller, Reader
from services.api.auth.ownership import JOB_ID, callers_jobs, own_job
from services.api.dependencies import Here
from services.api.http.problems import documented
from services.api.parquet_rows import open_table
from services.api.routes.artifacts import TitleName
from shared.ledger.tables import Artifact, Job
from shared.settings.models import Settings, stored_settings

MAX_ROWS = 50_000
MAX_JOBS = 100
METRICS = (
    "start",
    "end",
    "speech_ratio",
    "speech_dubbed",
    "fit_ratio",
    "overflow_ms",
    "isochrony_iou",
    "round_trip_cer",
    "language_confidence",
    "speaker_similarity",
    "null_residual_db",
    "residual_speech",
    "loudness_difference_lu",
)
LABELS = ("title", "track", "language", "detected_language", "reason", "detail")

router = APIRouter(tags=["results"])


class Labels(BaseModel):
    """A column of words: row i says ``names[codes[i]]``; -1 is nothing."""

    names: list[str]
    codes: list[int]


class DatasetOut(BaseModel):
    """Rows of docs/output.md as columns of one length, in order of job, title and shot."""

    jobs: list[str]
    rows: int = Field(description="Rows here.")
    total: int = Field(description="Rows there are; more than `rows` where there are too many to be shown.")
    job: list[int] = Field(description="Which of `jobs` a row is of.")
    shot: list[int | None]
    accepted: list[bool]
    labels: dict[str, Labels]
    reasons: list[list[str]] = Field(description="All reasons against a row.")
    metrics: dict[str, list[float | None]]
    thresholds: dict[str, float] = Field(description="What the rows were judged by, of the first job.")


@router.get(
    "/dataset",
    operation_id="get_dataset",
    summary="All rows of some jobs as columns, to judge them anew",
    responses=documented(401, 403, 404, 422, 503),
)
def get_dataset(
    here: Here,
    caller: Reader,
    job: Annotated[
        list[Annotated[str, Query(pattern=JOB_ID)]],
        Query(max_length=MAX_JOBS, description="Jobs that have ended; the newest that are done if none is named."),
    ] = [],  # noqa: B006 - FastAPI copies it
    title: TitleName = None,
) -> DatasetOut:
    """Accepted and rejected rows together; at most 50,000, whole jobs first."""
    with here.database.read() as session:
        jobs = chosen(session, caller, job)
        tables = {one.id: tables_of(session, one.id) for one in jobs}
    dataset = DatasetOut(
        jobs=[one.id for one in jobs],
        rows=0,
        total=0,
        job=[],
        shot=[],
        accepted=[],
        labels={name: Labels(names=[], codes=[]) for name in LABELS},
        reasons=[],
        metrics={name: [] for name in METRICS},
        thresholds=thresholds(jobs),
    )
    known: dict[str, dict[str, int]] = {name: {} for name in LABELS}
    for number, one in enumerate(jobs):
        room = MAX_ROWS - dataset.rows
        rows: list[dict[str, Any]] = []
        for table in tables[one.id]:
            with open_table(here.store, table) as file:
                some = list(islice(read_rows(file, title), room)) if room else []
                # Whether there are more of one title is not worth reading all of the others.
                dataset.total += len(some) if title is not None else file.metadata.num_rows
            rows += some
        rows.sort(key=lambda row: (row["title"], -1 if row["shot"] is None else row["shot"]))
        for row in rows[:room]:
            add(dataset, known, number, row)
    return dataset


def chosen(session: Session, caller: Caller, named: Sequence[str]) -> list[Job]:
    if named:
        return [own_job(session, caller, job_id) for job_id in dict.fromkeys(named)]
    query = callers_jobs(select(Job).where(Job.kind == "job", Job.state == "done"), caller)
    return list(session.scalars(query.order_by(Job.created.desc()).limit(MAX_JOBS)))


def tables_of(session: Session, job_id: str) -> list[Artifact]:
    paths = ("pairs.parquet", "rejects.parquet")
    return [stored for path in paths if (stored := session.get(Artifact, (job_id, path)))]


def thresholds(jobs: Sequence[Job]) -> dict[str, float]:
    settings = stored_settings(jobs[0].settings)[0] if jobs else Settings()
    names = ("min_shot_seconds", "max_shot_seconds")
    shown = settings.pairing.model_dump()
    limits = [name for name in shown if name.startswith(("max_", "min_")) and name not in names]
    return {name: float(shown[name]) for name in (*names, *limits)}


def read_rows(file: Any, title: str | None) -> Iterator[dict[str, Any]]:
    wanted = [*METRICS, *LABELS, "shot", "accepted", "reasons"]
    for batch in file.iter_batches(batch_size=5000, columns=wanted):
        for row in batch.to_pylist():
            if title is None or row["title"] == title:
                yield row


def add(dataset: DatasetOut, known: dict[str, dict[str, int]], job: int, row: dict[str, Any]) -> None:
    dataset.rows += 1
    dataset.job.append(job)
    dataset.shot.append(row["shot"])
    dataset.accepted.append(bool(row["accepted"]))
    dataset.reasons.append(list(row["reasons"] or ()))
    for name in METRICS:
        value = row[name]
        dataset.metrics[name].append(round(value, 4) if value is not None and math.isfinite(value) else None)
    for name in LABELS:
        value, codes = row[name], known[name]
        if value is not None and value not in codes:
            codes[value] = len(codes)
            dataset.labels[name].names.append(value)
        dataset.labels[name].codes.append(-1 if value is None else codes[value])
