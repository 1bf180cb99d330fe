"""Every error leaves as problem details (RFC 9457), with the same codes as everywhere in Counterdub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.core.errors import CounterdubError, StorageError, UsageError
from shared.core.storage_errors import for_service

MEDIA_TYPE = "application/problem+json"

STATUS = {
    "job_ended": 409,
    "job_running": 409,
    "nothing_to_retry": 409,
    "no_finished_title": 409,
    "title_running": 409,
    "upload_unfinished": 409,
    "unknown_job": 404,
    "unknown_title": 404,
    "unknown_utterance": 404,
    "dropped_line": 409,
    "unknown_upload": 404,
    "too_large": 413,
    "disk_full": 507,
}
"""Where the code says more than the error's class does."""

PHRASES = {
    400: "The request cannot be understood.",
    401: "No API key was given, or not a valid one.",
    403: "The API key does not allow this.",
    404: "There is no such thing, or it belongs to somebody else.",
    405: "The method does not exist here.",
    408: "The body came too slowly.",
    409: "The state of the job, or another request, does not allow this now.",
    411: "The length of the body must be told.",
    413: "The body is larger than is allowed.",
    415: "The body's media type is not one of those listed.",
    416: "The range lies outside the file.",
    422: "Something in the request is not as it must be.",
    429: "A quota is used up, or too many event streams are open.",
    500: "A bug.",
    503: "A part of the service is away; try again.",
    507: "The disk is full.",
}


class Problem(BaseModel):
    """Problem details (RFC 9457). ``code`` is stable; docs/errors.md lists all."""

    type: str = Field("about:blank", description="Always about:blank: `code` says which problem it is.")
    title: str = Field(description="The HTTP status in words.", examples=["Unprocessable Content"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(description="What is wrong and what to do.", examples=["“xx” is not a language."])
    code: str = Field(description="For programs.", examples=["unknown_language"])
    stage: str | None = Field(None, description="The stage it happened in.")
    retryable: bool = Field(False, description="Whether the same request may succeed later.")
    details: dict[str, Any] = Field({}, description="Small facts for programs.")


class Refused(UsageError):
    """A request that is refused with a certain HTTP status (and headers)."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        retryable: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, **details)
        self.status = status
        self.headers = dict(headers or {})


def not_found(what: str = "There is no such job, or it is not yours.", code: str = "not_found") -> Refused:
    return Refused(404, code, what)


def status_of(error: CounterdubError) -> int:
    """The HTTP status of an error: its own, that of its code, that of its class."""
    own = getattr(error, "status", None)
    if isinstance(own, int):
        return own
    if error.code in STATUS:
        return STATUS[error.code]
    if isinstance(error, StorageError):
        return 503 if error.retryable else 500
    return 422


def problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """The answer. Written as ASCII, so that nothing in it can fail to be encoded."""
    body = Problem(title=phrase(status), status=status, detail=detail, code=code, **more).model_dump()
    extra = {"Retry-After": "5"} if status == 503 else {}
    return Response(json.dumps(body), status, {**extra, **(headers or {})}, MEDIA_TYPE)


def phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # tus has one of its own
        return "Refused"


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route: the problems it may answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": PHRASES[status], "content": content} for status in sorted(statuses)}


def install(app: FastAPI) -> None:
    """Answer every exception with problem details."""

    @app.exception_handler(CounterdubError)
    def known(_request: Request, error: CounterdubError) -> Response:
        error = for_service(error)
        return problem(
            status_of(error),
            error.code,
            error.message,
            getattr(error, "headers", None),
            stage=error.stage,
            retryable=error.retryable,
            details=error.details,
        )

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> Response:
        # What was sent is not repeated: it may be long, secret, or not even text.
        wrong = [
            {"where": ".".join(str(part) for part in item["loc"]), "message": item["msg"]} for item in error.errors()
        ]
        if all(item["where"].startswith("path.") for item in wrong):
            return problem(404, "not_found", "There is no such thing: the address is not well-formed.")
        summary = "; ".join(f"{item['where']}: {item['message']}" for item in wrong[:3])
        return problem(422, "bad_request", f"The request is not valid: {summary}.", details={"errors": wrong[:20]})

    @app.exception_handler(HTTPException)
    def plain(_request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed", 408: "request_timeout", 413: "too_large"}.get(
            error.status_code, "bad_request"
        )
        return problem(error.status_code, code, str(error.detail), error.headers)

    @app.exception_handler(PoolTimeout)
    def busy(_request: Request, _error: PoolTimeout) -> Response:
        return problem(503, "database_busy", "Too many requests wait for the database.", retryable=True)

    @app.exception_handler(Exception)
    def unknown(_request: Request, _error: Exception) -> Response:
        return problem(500, "internal_error", "This is a bug. The server's log says more.")
