"""``/v1/jobs``: ask for work, look at it, stop it, try it again, forget it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from services.api.auth.keys import Caller, Reader, Writer
from services.api.auth.ownership import JobId, callers_jobs, own_job
from services.api.auth.quotas import bounded, check_bytes, check_new_job, check_reopened
from services.api.dependencies import Here, Services
from services.api.http.body_rate import paced
from services.api.http.idempotency import CreateRequest, IdempotencyKey, create_once, known
from services.api.http.multipart import read_form
from services.api.http.pagination import Cursor, Limit, Page, job_cursor, make_page, newest_first, utc
from services.api.http.problems import Refused, documented
from services.api.routes.uploads import take_upload
from services.api.schemas.jobs import JobOut, Links, NewJob, Progress, UploadSource, Wish
from services.api.schemas.submission import (
    Submission,
    check_translations,
    check_wish,
    form_fields,
    named_sources,
    parse_json,
    sent_sources,
    validated,
)
from services.api.uploads.storage import stored
from services.api.webhooks import check_webhook_url, signing_key
from shared.ledger.tables import Job
from shared.queue import job_commands

log = logging.getLogger(__name__)
router = APIRouter(tags=["jobs"])

State = Literal["running", "cancelling", "done", "failed", "cancelled"]

FORM: dict[str, Any] = {
    "type": "object",
    "required": ["video", "languages"],
    "description": "translation.LANGUAGE is a field with the text in that language, file or text; with one video only.",
    "properties": {
        "video": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}},
        "languages": {"type": "array", "minItems": 1, "items": {"type": "string"}, "description": "Or es,fr in one."},
        "transcript": {"type": "string", "description": "SRT, VTT or JSON, as a file or as text; with one video only."},
        "subtitles": {"type": "string", "enum": ["embedded"]},
        "settings": {"type": "string", "contentMediaType": "application/json", "examples": ["{}"]},
        "profile": {"type": "string", "default": "cpu"},
        "name": {"type": "string", "maxLength": 200},
        "webhook": {"type": "string", "contentMediaType": "application/json"},
        "then_train": {"type": "string", "maxLength": 100},
    },
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FORM},
            "application/json": {"schema": {"$ref": "#/components/schemas/NewJob"}},
        },
    }
}
LOCATION = {"headers": {"Location": {"schema": {"type": "string"}, "description": "Where the job is."}}}


def shown(job: Job) -> JobOut:
    """A job as callers see it: no secrets, no settings of the machine."""
    base = f"/v1/jobs/{job.id}"
    parts = ("events", "titles", "files", "pairs", "report")
    return JobOut(
        id=job.id,
        name=job.name,
        state=job.state,
        languages=job.languages,
        profile=str(job.settings.get("profile", "")),
        then_train=job.then_train,
        webhook_url=job.webhook_url,
        created=job.created,
        finished=job.finished,
        events=job.events,
        progress=Progress(
            tasks=job.runs,
            tasks_ended=job.runs_ended,
            titles=job.titles,
            titles_ended=job.titles_ended,
            titles_failed=job.titles_failed,
        ),
        summary=job.summary or {},
        links=Links(self=base, **{part: f"{base}/{part}" for part in parts}),
    )


@router.post(
    "/jobs",
    operation_id="create_job",
    summary="Ask for dubs of videos",
    status_code=202,
    response_model=JobOut,
    openapi_extra=BODY,
    responses={202: LOCATION, **documented(401, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507)},
)
async def create_job(request: Request, here: Here, caller: Writer, idempotency_key: IdempotencyKey = None) -> Response:
    """Videos come with the request (multipart), by tus upload before it, or are fetched from URL, S3 or server path."""
    await run_in_threadpool(check_quota, here, caller, idempotency_key)
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    with here.store.workspace() as folder:
        if kind == "multipart/form-data":
            body = paced(request.stream(), here.settings)
            form = await read_form(content_type, body, folder, lambda size: check_size(size, caller, here))

            def prepare() -> Submission:
                fields, texts = form_fields(form)
                submission = check_wish(validated(Wish, fields))
                sources = sent_sources(form, texts, submission.languages, here.store, folder)
                submission.sources = lambda: sources
                blobs = (blob for source in sources for blob in (source.blob, source.transcript))
                submission.files = [blob.sha256 if blob else "" for blob in blobs]
                submission.files += [
                    f"{language}:{text.sha256}"
                    for source in sources
                    for language, text in sorted(source.translations.items())
                ]
                return submission

        elif kind == "application/json":
            job = validated(NewJob, parse_json(await request.body()))

            def prepare() -> Submission:
                submission = check_wish(job)
                check_translations(job, submission.languages)
                submission.sources = lambda: named_sources(
                    job, submission.languages, taken_uploads(here, caller, job), here.settings, here.store, folder
                )
                return submission

        else:
            raise Refused(415, "unsupported_media_type", "Send multipart/form-data or application/json.")
        trace = request.headers.get("traceparent", "")
        return await run_in_threadpool(lambda: enter(here, caller, prepare(), idempotency_key, trace))


def check_quota(here: Services, caller: Caller, idempotency_key: str | None) -> None:
    """Before a body is read that would be in vain."""
    with here.database.read() as session:
        if known(session, caller.key_id, idempotency_key):
            return
        check_new_job(session, caller, here.settings)


def check_size(size: int, caller: Caller, here: Services) -> None:
    if size > here.settings.max_upload_bytes:
        raise Refused(413, "too_large", f"More than {here.settings.max_upload_bytes} bytes are not taken at once.")
    check_bytes(caller, size)


def taken_uploads(here: Services, caller: Caller, job: NewJob) -> list[Any]:
    wanted = [source.upload for source in job.sources if isinstance(source, UploadSource)]
    if not wanted:
        return []
    with here.database.write() as session:
        taken = [take_upload(session, caller, upload) for upload in wanted]
    return [stored(here, upload, blob) for upload, blob in zip(wanted, taken, strict=True)]


def enter(here: Services, caller: Caller, submission: Submission, idempotency_key: str | None, trace: str) -> Response:
    """Make the job, or repeat the answer that its Idempotency-Key was given before.

    Args:
        trace: The caller's ``traceparent`` (W3C), which the job's spans go on with.
    """

    def create(keep: Callable[[Session, str], None], traceparent: str | None) -> str:
        def within(session: Session, job_id: str) -> None:
            check_new_job(session, caller, here.settings)
            keep(session, job_id)

        webhook = submission.wish.webhook
        if webhook:
            check_webhook_url(webhook.url, here.settings)
            signing_key(webhook.secret or "")
        order = job_commands.JobOrder(
            submission.sources(),
            submission.languages,
            bounded(submission.settings, caller),
            key_id=caller.key_id,
            name=submission.wish.name,
            then_train=submission.wish.then_train,
            webhook_url=webhook.url if webhook else None,
            webhook_secret=webhook.secret if webhook else None,
            traceparent=traceparent,
            subtitles=submission.wish.subtitles,
        )
        job_id, wakes = job_commands.create_job(here.database, here.store, order, within=within)
        here.wake(wakes)
        log.info("job entered", extra={"job": job_id})
        return job_id

    request = CreateRequest("/v1/jobs", caller.key_id, idempotency_key, submission.fingerprint(), trace)
    return create_once(here.database, request, create, lambda job_id: current(here, caller, job_id), 202)


def current(here: Services, caller: Caller, job_id: str) -> JobOut:
    with here.database.read() as session:
        return shown(own_job(session, caller, job_id))


@router.get(
    "/jobs",
    operation_id="list_jobs",
    summary="The caller's jobs, newest first",
    responses=documented(401, 403, 422, 503),
)
def list_jobs(
    here: Here,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: Annotated[list[State], Query(description="Any of these.")] = [],  # noqa: B006 - FastAPI copies it
    name: Annotated[
        str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Part of the name, in any case.")
    ] = None,
    created_from: Annotated[datetime | None, Query(description="Not before. Without a zone: UTC.")] = None,
    created_before: Annotated[datetime | None, Query(description="Before.")] = None,
) -> Page[JobOut]:
    """Filters apply together."""
    query = callers_jobs(select(Job).where(Job.kind == "job"), caller)
    if state:
        query = query.where(Job.state.in_(state))
    if name:
        query = query.where(Job.name.icontains(name, autoescape=True))
    if created_from:
        query = query.where(Job.created >= utc(created_from))
    if created_before:
        query = query.where(Job.created < utc(created_before))
    query = newest_first(query, limit, cursor)
    with here.database.read() as session:
        jobs = list(session.scalars(query))
    return make_page(jobs, limit, shown, job_cursor)


@router.get(
    "/jobs/{job_id}",
    operation_id="get_job",
    summary="One job",
    responses=documented(401, 403, 404, 503),
)
def get_job(here: Here, caller: Reader, job_id: JobId) -> JobOut:
    """Its state and how far it is; what happened is in its events."""
    return current(here, caller, job_id)


@router.post(
    "/jobs/{job_id}:cancel",
    operation_id="cancel_job",
    summary="Stop a job",
    status_code=202,
    responses=documented(401, 403, 404, 409, 503),
)
def cancel_job(here: Here, caller: Writer, job_id: JobId) -> JobOut:
    """What waits is dropped at once, what runs is told to end; finished work is kept."""
    current(here, caller, job_id)
    here.wake(job_commands.cancel_job(here.database, job_id))
    return current(here, caller, job_id)


@router.post(
    "/jobs/{job_id}:retry",
    operation_id="retry_job",
    summary="Do the failed or cancelled parts again",
    status_code=202,
    responses=documented(401, 403, 404, 409, 429, 503),
)
def retry_job(here: Here, caller: Writer, job_id: JobId) -> JobOut:
    """Finished parts are kept. The events go on with the next number."""
    current(here, caller, job_id)
    here.wake(
        job_commands.retry_job(
            here.database,
            here.store,
            job_id,
            within=lambda session: check_reopened(session, caller, here.settings),
        )
    )
    return current(here, caller, job_id)


@router.delete(
    "/jobs/{job_id}",
    operation_id="delete_job",
    summary="Forget a job that has ended",
    status_code=204,
    responses=documented(401, 403, 404, 409, 503),
)
def delete_job(here: Here, caller: Writer, job_id: JobId) -> None:
    """Its titles, events and files are not to be had any more."""
    current(here, caller, job_id)
    job_commands.delete_job(here.database, job_id)
