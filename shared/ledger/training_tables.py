"""Tables of trainings. What they share with jobs (owner, state, events, tasks) is their row of ``job``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.ledger.tables import Base


class Training(Base):
    """What is trained, on what, and how far it is."""

    __tablename__ = "training"
    id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    recipe: Mapped[str] = mapped_column(String(100))
    overrides: Mapped[dict[str, Any]]
    """Settings over the recipe's, as nested tables."""
    jobs: Mapped[list[str]]
    """Whose accepted pairs are the data; empty while it waits for enough of them."""
    wanted: Mapped[dict[str, Any] | None]
    """What it waits for: ``{accepted_pairs, languages}``."""
    from_job: Mapped[str | None] = mapped_column(String(40), unique=True)
    """The job that was to train when done: once, however often a line of it is edited later."""
    initial: Mapped[dict[str, Any] | None]
    """Whose weights it starts from: ``{training, name, sha256, size}``."""
    data: Mapped[dict[str, Any] | None]
    """Stored list of the files that it reads, ``{name, sha256, size}``: jobs may change or go while it runs."""
    phase: Mapped[str] = mapped_column(String(16), default="queued")
    """queued, gathering, sharding, sharded, training."""
    step: Mapped[int] = mapped_column(default=0)
    progress: Mapped[float] = mapped_column(default=0.0)
    latest: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The newest value of every figure."""
    checkpoint: Mapped[dict[str, Any] | None]
    """The newest one in the store: ``{step, name, sha256, size}``."""
    started: Mapped[datetime | None]


class TrainingPoint(Base):
    """One line of a training's metrics."""

    __tablename__ = "training_point"
    training_id: Mapped[str] = mapped_column(ForeignKey("training.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    """train or validation: a step may have both."""
    data: Mapped[dict[str, Any]]
