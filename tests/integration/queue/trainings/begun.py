"""Trainings that are begun, and what of them can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from shared.core.store import Blob
from shared.ledger.tables import Artifact
from shared.ledger.training_tables import Training, TrainingPoint
from shared.queue import training_notes, trainings
from shared.queue.trainings import TrainingOrder
from tests.conftest import ROOT
from tests.integration.queue.finished import finished_job
from tests.integration.queue.rig import Rig


def start(rig: Rig, **environment: str) -> int:
    more: dict[str, Any] = {
        "COUNTERDUB_TEST_TRAINER": "1",
        "PYTHONPATH": str(ROOT),
        "COUNTERDUB_CHECKPOINT_COPY_S": "0",
        **environment,
    }
    return rig.worker(**more)


def begin(rig: Rig, *jobs: str, steps: int = 12, **more: Any) -> str:
    order = TrainingOrder("tiny-en", {"optimiser": {"steps": steps}}, jobs, **more)
    training, wakes = trainings.create_training(rig.database, order)
    rig.waker.wake(wakes)
    return training


def job(rig: Rig, *titles: str, **more: Any) -> str:
    return finished_job(rig.database, rig.store, *(titles or ("film",)), real=False, **more)


def row(rig: Rig, training: str) -> Training:
    return training_notes.read_training(rig.database, training)


def files(rig: Rig, training: str) -> dict[str, Path]:
    with rig.database.read() as session:
        rows = session.scalars(select(Artifact).where(Artifact.job_id == training)).all()
    return {row.path: rig.store.fetch(Blob(row.name, row.sha256, row.size)) for row in rows}


def points(rig: Rig, training: str) -> list[tuple[int, str]]:
    with rig.database.read() as session:
        found = session.execute(
            select(TrainingPoint.step, TrainingPoint.kind).where(TrainingPoint.training_id == training)
        )
        return sorted((step, kind) for step, kind in found)


def every_point(steps: int) -> list[tuple[int, str]]:
    return sorted([(n, "train") for n in range(1, steps + 1)] + [(n, "validation") for n in range(5, steps + 1, 5)])


def at_step(rig: Rig, training: str, step: int) -> None:
    rig.until(lambda: row(rig, training).step >= step)
