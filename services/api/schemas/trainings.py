"""What goes in and out of ``/v1/trainings`` as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from services.api.auth.ownership import JOB_ID, TRAINING_ID
from services.api.http.pagination import Page
from services.api.schemas.jobs import ErrorOut, Name, Strict, Text


class When(Strict):
    """A training that begins when there are enough pairs."""

    accepted_pairs: int = Field(ge=1, lt=2**31, description="Rows of pairs.parquet in all finished jobs of the caller.")
    languages: list[Annotated[Text, Field(min_length=1, max_length=40)]] = Field(
        [], max_length=50, description="Count (and take jobs with) these tracks only.", examples=[["es", "fr"]]
    )


class NewTraining(Strict):
    """A request to train an encoder: on certain jobs, or when there are enough pairs."""

    recipe: Text = Field(max_length=100, description="`/v1/recipes` lists them.", examples=["tiny-en"])
    jobs: list[Annotated[str, Field(pattern=JOB_ID)]] = Field(
        [], max_length=1000, description="Finished jobs, whose accepted pairs are the data."
    )
    when: When | None = Field(
        None, description="Instead of jobs: wait for enough pairs, then take all jobs that have any."
    )
    set: dict[str, Any] = Field(
        {}, description="Settings over the recipe's, nested or dotted.", examples=[{"optimiser.steps": 100}]
    )
    initial: Annotated[str, Field(pattern=TRAINING_ID)] | None = Field(
        None, description="An earlier training, whose last weights it starts from."
    )
    name: Name = Field("", description="For people.")

    @model_validator(mode="after")
    def one_or_the_other(self) -> NewTraining:
        if bool(self.jobs) == (self.when is not None):
            raise ValueError("name either jobs or when")
        return self


class CheckpointOut(BaseModel):
    """The newest one that can be had."""

    step: int
    bytes: int
    sha256: str
    href: str


class TrainingLinks(BaseModel):
    self: str
    events: str
    metrics: str
    files: str


class TrainingOut(BaseModel):
    """A training."""

    id: str = Field(examples=["trn_0123456789abcdef0123456789abcdef"])
    name: str
    state: str = Field(description="waiting (for pairs), running, cancelling, done, failed, cancelled.")
    phase: str = Field(description="queued, gathering, sharding, sharded, training.")
    recipe: str
    set: dict[str, Any]
    jobs: list[str] = Field(description="Whose pairs it is trained on; empty while it waits.")
    when: When | None
    initial: str | None
    from_job: str | None = Field(description="The job that asked for it with then_train.")
    step: int
    progress: float = Field(description="Finished share, 0–1.")
    latest: dict[str, Any] = Field(description="The newest value of every figure (docs/training.md).")
    checkpoint: CheckpointOut | None
    error: ErrorOut | None
    created: datetime
    started: datetime | None
    finished: datetime | None
    events: int = Field(description="Number of the latest event.")
    links: TrainingLinks


class MetricsPoint(BaseModel):
    """One line of metrics."""

    step: int
    kind: str = Field(description="train or validation.")
    values: dict[str, Any]


class MetricsPage(Page[MetricsPoint]):
    """A part of a training's curves."""


class RecipeOut(BaseModel):
    """What can be trained."""

    name: str
    description: str
