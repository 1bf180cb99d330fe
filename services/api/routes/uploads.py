"""Resumable uploads: tus 1.0 (core, creation, creation-with-upload, expiration, termination, checksum).

Truth is the row's ``offset``: it is raised only after the bytes are on the disk (fsync), and whatever a killed process
left behind it is cut off before the next byte is written. Who writes holds a lock on the file, so that processes that
share the folder do not get into each other's way. A finished upload lies in the artifact store and can be named by any
number of jobs until it expires; what a job has taken stays its own.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.routing import APIRoute
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from services.api.auth.keys import Caller, Writer
from services.api.auth.quotas import awaited, check_upload
from services.api.dependencies import Here, Services
from services.api.http.body_rate import paced
from services.api.http.problems import MEDIA_TYPE as PROBLEM
from services.api.http.problems import Problem, Refused, documented
from services.api.uploads import tus_headers
from services.api.uploads.storage import Writing, drop, finish, folder, known_offset, sweep_uploads
from shared.core.errors import CounterdubError
from shared.core.store import Blob
from shared.ledger.tables import Upload, new_id, now

__all__ = ["router", "sweep_uploads", "take_upload"]

UploadId = Annotated[str, Path(pattern=r"^upl_[0-9a-f]{32}$", description="Id of an upload.")]

WRITE_AT = 2**20
TUS_PHRASES = {
    412: "The version of tus was not named, or is another one.",
    423: "Another request is writing to this upload.",
    tus_headers.MISMATCH: "The bytes have another hash than was told.",
}
SAFE_AFTER = 32 * 2**20
"""Bytes after which what came is made safe and counted, also within one request."""


class TusRoute(APIRoute):
    """Every answer, a refusal too, names the protocol's version; a request without it is refused."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_tus(request: Request) -> Response:
            try:
                if request.method != "OPTIONS":
                    tus_headers.check_version(request.headers)
                response = await handle(request)
            except Refused as error:
                error.headers |= tus_headers.VERSION_HEADER
                if error.status != tus_headers.MISMATCH:
                    raise
                response = mismatched(error)
            response.headers.update(tus_headers.VERSION_HEADER)
            return response

        return handle_tus


def mismatched(error: Refused) -> Response:
    body = Problem(
        title="Checksum Mismatch", status=error.status, detail=error.message, code=error.code, retryable=error.retryable
    )
    return Response(body.model_dump_json(), error.status, media_type=PROBLEM)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route: problems as everywhere, and those that only tus knows."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    usual = documented(*(status for status in (401, 403, 503, *statuses) if status not in TUS_PHRASES))
    own = {status: TUS_PHRASES[status] for status in (412, *statuses) if status in TUS_PHRASES}
    return usual | {status: {"description": phrase, "content": content} for status, phrase in own.items()}


router = APIRouter(prefix="/uploads", tags=["uploads"], route_class=TusRoute)


def take_upload(session: Session, caller: Caller, upload_id: str) -> Blob:
    """The stored file of a finished upload. It can be taken again until the upload expires.

    Raises:
        Refused: ``unknown_upload`` (404; also another caller's, or expired), ``upload_unfinished`` (409).
    """
    upload = own(session, caller, upload_id)
    if upload.blob is None:
        raise Refused(409, code="upload_unfinished", message=f"{upload.offset} of {upload.size} bytes are here.")
    return Blob(**upload.blob)


def own(session: Session, caller: Caller, upload_id: str) -> Upload:
    """The caller's upload. Another's looks as if it did not exist."""
    upload = session.get(Upload, upload_id, populate_existing=True)
    if upload is None or not caller.owns(upload.key_id) or upload.expires <= now():
        raise Refused(404, code="unknown_upload", message="There is no such upload, it expired, or it is not yours.")
    return upload


@router.options("", operation_id="upload_options", summary="What the server knows of tus", status_code=204)
def options(here: Here) -> Response:
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus_headers.VERSION,
            "Tus-Extension": ",".join(tus_headers.EXTENSIONS),
            "Tus-Max-Size": str(here.settings.max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(tus_headers.ALGORITHMS),
        },
    )


@router.post(
    "",
    operation_id="create_upload",
    summary="Announce a file (tus)",
    status_code=201,
    responses=answers(400, 408, 413, 415, 423, tus_headers.MISMATCH, 507),
)
async def create(request: Request, here: Here, caller: Writer) -> Response:
    """``Upload-Length`` and, base64, ``Upload-Metadata: filename …``; the body may bring the first bytes."""
    size = tus_headers.length(request.headers)
    if size > here.settings.max_upload_bytes:
        raise Refused(413, code="too_large", message=f"At most {here.settings.max_upload_bytes} bytes are taken.")
    name = tus_headers.file_name(request.headers.get("upload-metadata", ""))
    with_body = tus_headers.has_body(request.headers)
    if with_body:
        tus_headers.check_media_type(request.headers)
    upload = await run_in_threadpool(begin, here, caller, name, size)
    headers = {
        "Location": f"{request.url.path.rstrip('/')}/{upload.id}",
        "Upload-Expires": tus_headers.date(upload.expires),
    }
    if with_body or size == 0:
        headers["Upload-Offset"] = str(await receive(request, here, upload, 0))
    return Response(status_code=201, headers=headers)


def begin(here: Services, caller: Caller, name: str, size: int) -> Upload:
    place = folder(here.settings)
    with here.database.read() as session:
        tus_headers.check_room(place, size + awaited(session))
    upload = Upload(
        id=new_id("upl"), key_id=caller.key_id, name=name, size=size, expires=tus_headers.expiry(here.settings)
    )
    with here.database.write() as session:
        check_upload(session, caller, size)
        session.add(upload)
    return upload


@router.head(
    "/{upload_id}",
    operation_id="upload_offset",
    summary="How much of a file is here (tus)",
    responses=answers(404, 409, 423, 507),
)
def offset(here: Here, caller: Writer, upload_id: UploadId) -> Response:
    with here.database.read() as session:
        upload = own(session, caller, upload_id)
    known = known_offset(here.settings, upload)
    if known == upload.size and upload.blob is None:
        # Killed, or without room, when all bytes were here: nobody would send another request that ends it.
        with contextlib.closing(Writing(here, upload_id, known)) as writing:
            finish(here, writing)
    headers = {
        "Upload-Offset": str(known),
        "Upload-Length": str(upload.size),
        "Upload-Expires": tus_headers.date(upload.expires),
        "Cache-Control": "no-store",
    }
    return Response(status_code=200, headers=headers)


@router.patch(
    "/{upload_id}",
    operation_id="continue_upload",
    summary="Send bytes of a file (tus)",
    status_code=204,
    responses=answers(400, 404, 408, 409, 413, 415, 423, tus_headers.MISMATCH, 507),
)
async def patch(request: Request, here: Here, caller: Writer, upload_id: UploadId) -> Response:
    """``Upload-Offset`` says where the bytes belong; ``Upload-Checksum`` may say their hash."""
    tus_headers.check_media_type(request.headers)
    at = tus_headers.offset(request.headers)

    def find() -> Upload:
        with here.database.read() as session:
            return own(session, caller, upload_id)

    upload = await run_in_threadpool(find)
    reached = await receive(request, here, upload, at)
    headers = {"Upload-Offset": str(reached), "Upload-Expires": tus_headers.date(upload.expires)}
    return Response(status_code=204, headers=headers)


async def receive(request: Request, here: Services, upload: Upload, at: int) -> int:
    """Write a request's body behind byte ``at``; the new offset. What came before a connection broke is kept."""
    expected = tus_headers.checksum(request.headers)
    if at + tus_headers.announced(request.headers) > upload.size:
        raise too_long()
    writing = await run_in_threadpool(Writing, here, upload.id, at)
    try:
        await read_body(
            paced(request.stream(), here.settings),
            writing,
            hashlib.new(expected[0], usedforsecurity=False) if expected else None,
            expected,
        )
        if writing.offset == upload.size:
            await run_in_threadpool(finish, here, writing)
        return writing.offset
    finally:
        writing.close()


async def read_body(
    body: AsyncIterator[bytes], writing: Writing, digest: Any, expected: tuple[str, bytes] | None
) -> None:
    pending = bytearray()
    try:
        async for chunk in body:
            pending += chunk
            if writing.offset + writing.unsafe + len(pending) > writing.size:
                raise too_long()
            if len(pending) >= WRITE_AT:
                await flush(writing, pending, digest)
                if digest is None and writing.unsafe >= SAFE_AFTER:
                    await run_in_threadpool(writing.save)
    except (ClientDisconnect, CounterdubError) as error:
        # The rest comes with another request. Bytes whose hash was to be told are not counted without it.
        kept = digest is None and getattr(error, "code", "") not in ("too_large", "disk_full")
        if kept:
            await flush(writing, pending, None)
            await run_in_threadpool(writing.save)
        if isinstance(error, ClientDisconnect):
            raise Refused(400, code="upload_broken_off", message="The connection broke off.", retryable=True) from error
        raise
    await flush(writing, pending, digest)
    if expected and digest.digest() != expected[1]:
        raise tus_headers.mismatch()
    await run_in_threadpool(writing.save)


async def flush(writing: Writing, pending: bytearray, digest: Any) -> None:
    data = bytes(pending)
    pending.clear()
    if digest is not None:
        await run_in_threadpool(digest.update, data)
    await run_in_threadpool(writing.write, data)


def too_long() -> Refused:
    # Nobody reads the rest: the connection has to end.
    headers = {"Connection": "close"}
    return Refused(413, code="too_large", message="More bytes came than the upload was to have.", headers=headers)


@router.post("/{upload_id}", include_in_schema=False)
async def overridden(request: Request, here: Here, caller: Writer, upload_id: UploadId) -> Response:
    """For clients whose way lets GET and POST through only."""
    method = request.headers.get("x-http-method-override", "")
    if method == "PATCH":
        return await patch(request, here, caller, upload_id)
    if method == "DELETE":
        return await run_in_threadpool(delete, here, caller, upload_id)
    raise HTTPException(405)


@router.delete(
    "/{upload_id}",
    operation_id="delete_upload",
    summary="Forget an upload (tus)",
    status_code=204,
    responses=answers(404),
)
def delete(here: Here, caller: Writer, upload_id: UploadId) -> Response:
    """What jobs have taken of it is theirs."""
    with here.database.write() as session:
        upload = own(session, caller, upload_id)
        session.delete(upload)
    drop(here.settings, upload_id)
    return Response(status_code=204)
