"""``/v1/trainings``: begin one, look at it, stop it, go on with it, forget it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from sqlalchemy import Row, Select, and_, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from services.api.auth.keys import Caller, Reader, Writer
from services.api.auth.ownership import JOB_ID, TrainingId, callers_jobs, own_job, own_training
from services.api.auth.quotas import check_new_training
from services.api.dependencies import Here, Services
from services.api.http.idempotency import CreateRequest, IdempotencyKey, create_once
from services.api.http.pagination import Cursor, Limit, Page, job_cursor, make_page, newest_first
from services.api.http.problems import Refused, documented
from services.api.routes import events
from services.api.schemas.jobs import ErrorOut
from services.api.schemas.submission import clean
from services.api.schemas.trainings import CheckpointOut, NewTraining, RecipeOut, TrainingLinks, TrainingOut, When
from shared.core import languages as codes
from shared.ledger.tables import Job, StageRun
from shared.ledger.training_tables import Training
from shared.queue import job_commands, trainings
from shared.queue.training_notes import CHECKPOINT
from trainer import recipe
from trainer.service import recipe_orders

log = logging.getLogger(__name__)
router = APIRouter(tags=["trainings"])

State = Literal["waiting", "running", "cancelling", "done", "failed", "cancelled"]
CREATED = {"headers": {"Location": {"schema": {"type": "string"}, "description": "Where the training is."}}}


@lru_cache
def known_recipes() -> tuple[RecipeOut, ...]:
    return tuple(RecipeOut(name=name, description=recipe.load_recipe(name).description) for name in recipe.names())


@router.get("/recipes", operation_id="list_recipes", summary="What can be trained", responses=documented(401, 403))
def list_recipes(caller: Reader) -> list[RecipeOut]:
    """Name one in a training, or as `then_train` of a job."""
    return list(known_recipes())


def rows() -> Select[Job, Training, dict[str, Any] | None]:
    """Trainings with their job's row and the error of their task."""
    task = and_(StageRun.job_id == Job.id, StageRun.task == trainings.TASK)
    return select(Job, Training, StageRun.error).join(Training, Training.id == Job.id).outerjoin(StageRun, task)


def shown(row: Row[Job, Training, dict[str, Any] | None]) -> TrainingOut:
    job, training, error = row
    base = f"/v1/trainings/{job.id}"
    kept = training.checkpoint
    return TrainingOut(
        id=job.id,
        name=job.name,
        state=job.state,
        phase=training.phase,
        recipe=training.recipe,
        set=training.overrides,
        jobs=training.jobs,
        when=When.model_validate(training.wanted) if training.wanted else None,
        initial=training.initial["training"] if training.initial else None,
        from_job=training.from_job,
        step=training.step,
        progress=training.progress,
        latest=training.latest,
        checkpoint=CheckpointOut(
            step=kept["step"], bytes=kept["size"], sha256=kept["sha256"], href=f"{base}/files/{CHECKPOINT}"
        )
        if kept
        else None,
        error=ErrorOut.model_validate(error) if error else None,
        created=job.created,
        started=training.started,
        finished=job.finished,
        events=job.events,
        links=TrainingLinks(self=base, **{part: f"{base}/{part}" for part in ("events", "metrics", "files")}),
    )


def current(here: Services, caller: Caller, training_id: str) -> TrainingOut:
    with here.database.read() as session:
        own_training(session, caller, training_id)
        return shown(session.execute(rows().where(Job.id == training_id)).one())


@router.post(
    "/trainings",
    operation_id="create_training",
    summary="Train an encoder",
    status_code=201,
    response_model=TrainingOut,
    responses={201: CREATED, **documented(400, 401, 403, 404, 409, 413, 422, 429, 503)},
)
def create_training(
    request: Request, here: Here, caller: Writer, new: NewTraining, idempotency_key: IdempotencyKey = None
) -> Response:
    """On the accepted pairs of finished jobs, or of all the caller's jobs once there are enough."""

    def create(keep: Callable[[Session, str], None], traceparent: str | None) -> str:
        def within(session: Session, training_id: str) -> None:
            check_new_training(session, caller, here.settings, waits=new.when is not None)
            keep(session, training_id)

        training_id, wakes = trainings.create_training(
            here.database,
            checked_order(here, caller, new),
            key_id=caller.key_id,
            traceparent=traceparent,
            within=within,
        )
        here.wake(wakes)
        log.info("training entered", extra={"job": training_id})
        return training_id

    trace = request.headers.get("traceparent", "")
    sent = CreateRequest("/v1/trainings", caller.key_id, idempotency_key, new.model_dump(mode="json"), trace)
    return create_once(here.database, sent, create, lambda training_id: current(here, caller, training_id), 201)


def checked_order(here: Services, caller: Caller, new: NewTraining) -> trainings.TrainingOrder:
    """A request that can be entered.

    Raises:
        UsageError: ``unknown_recipe``, ``bad_setting``, ``unknown_language``.
        Refused: ``bad_request``; 404 for what is not the caller's; ``job_running``, ``no_checkpoint`` (409);
            ``empty_dataset`` (422).
    """
    try:
        clean(new.set)
    except (ValueError, RecursionError) as error:
        raise Refused(422, "bad_request", "The settings hold what is no text or no finite number.") from error
    tables = recipe_orders.checked(new.recipe, new.set)
    wanted = None
    if new.when is not None:
        languages = list(dict.fromkeys(codes.code(language) for language in new.when.languages))
        wanted = {"accepted_pairs": new.when.accepted_pairs, "languages": languages}
    with here.database.read() as session:
        jobs = list(dict.fromkeys(new.jobs))
        for job_id in jobs:
            check_data(own_job(session, caller, job_id))
        initial = None
        if new.initial is not None:
            kept = own_training(session, caller, new.initial)[1].checkpoint
            if kept is None:
                raise Refused(409, "no_checkpoint", "The training to start from has no checkpoint yet.", retryable=True)
            initial = {"training": new.initial, **{name: kept[name] for name in ("name", "sha256", "size")}}
    return trainings.TrainingOrder(new.recipe, tables, jobs, wanted, initial, new.name)


def check_data(job: Job) -> None:
    """Whether a job has pairs to train on."""
    if job.state in ("running", "cancelling"):
        message = "A job that is named is still running: wait for its end, or ask for then_train in it."
        raise Refused(409, "job_running", message, retryable=True)
    if not (job.summary or {}).get("accepted"):
        raise Refused(422, "empty_dataset", "A job that is named has no accepted pairs.", job=job.id)


@router.get(
    "/trainings",
    operation_id="list_trainings",
    summary="The caller's trainings, newest first",
    responses=documented(401, 403, 422, 503),
)
def list_trainings(
    here: Here,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: Annotated[list[State], Query(description="Any of these.")] = [],  # noqa: B006 - FastAPI copies it
    from_job: Annotated[str | None, Query(pattern=JOB_ID, description="Of this job's then_train.")] = None,
) -> Page[TrainingOut]:
    """Filters apply together."""
    query = callers_jobs(rows(), caller)
    if state:
        query = query.where(Job.state.in_(state))
    if from_job:
        query = query.where(Training.from_job == from_job)
    query = newest_first(query, limit, cursor)
    with here.database.read() as session:
        shown_rows = session.execute(query).all()
    return make_page(shown_rows, limit, shown, lambda row: job_cursor(row[0]))


@router.get(
    "/trainings/{training_id}",
    operation_id="get_training",
    summary="One training",
    responses=documented(401, 403, 404, 503),
)
def get_training(here: Here, caller: Reader, training_id: TrainingId) -> TrainingOut:
    """Its state and newest figures; what happened is in its events."""
    return current(here, caller, training_id)


@router.post(
    "/trainings/{training_id}:cancel",
    operation_id="cancel_training",
    summary="Stop a training",
    status_code=202,
    responses=documented(401, 403, 404, 409, 503),
)
def cancel_training(here: Here, caller: Writer, training_id: TrainingId) -> TrainingOut:
    """It saves a checkpoint first, from which `:resume` goes on."""
    current(here, caller, training_id)
    here.wake(job_commands.cancel_job(here.database, training_id))
    return current(here, caller, training_id)


@router.post(
    "/trainings/{training_id}:resume",
    operation_id="resume_training",
    summary="Go on with a failed or cancelled training",
    status_code=202,
    responses=documented(401, 403, 404, 409, 429, 503),
)
def resume_training(here: Here, caller: Writer, training_id: TrainingId) -> TrainingOut:
    """From its last checkpoint, if there is one. The events go on with the next number."""
    current(here, caller, training_id)
    here.wake(
        trainings.resume_training(
            here.database,
            training_id,
            within=lambda session: check_new_training(session, caller, here.settings, waits=False),
        )
    )
    return current(here, caller, training_id)


@router.delete(
    "/trainings/{training_id}",
    operation_id="delete_training",
    summary="Forget a training that has ended",
    status_code=204,
    responses=documented(401, 403, 404, 409, 503),
)
def delete_training(here: Here, caller: Writer, training_id: TrainingId) -> None:
    """Its metrics, events and files are not to be had any more."""
    current(here, caller, training_id)
    job_commands.delete_job(here.database, training_id)


@router.get(
    "/trainings/{training_id}/events",
    operation_id="list_training_events",
    summary="Events of a training: a stream (SSE), or a page of JSON",
    response_class=Response,
    responses={**events.ANSWERS, **documented(401, 403, 404, 422, 429, 503)},
)
async def list_training_events(
    request: Request,
    here: Here,
    training_id: TrainingId,
    caller: Reader,
    after: events.Number = None,
    format: events.Format = None,
    limit: Limit = 100,
    last_event_id: Annotated[str | None, Header(description="Where an interrupted stream goes on.")] = None,
) -> Response:
    """As a job's. `training_progress` tells the newest figures now and then; all are in `metrics`."""

    def own(session: Session) -> Job:
        return own_training(session, caller, training_id)[0]

    return await events.answer(request, here, caller, own, after, format, limit, last_event_id)
