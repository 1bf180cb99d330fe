"""What a job made: titles, shots, lines, tracks, rows, the report, and every file by its path."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select
from starlette.responses import Response

from services.api import parquet_rows, report_page
from services.api.auth.keys import Caller, requires
from services.api.auth.ownership import JobId, artifact, one_title, own_job
from services.api.dependencies import Here, Services
from services.api.http.pagination import Cursor, Limit, Page, cut, decode, encode
from services.api.http.problems import documented, not_found
from services.api.http.ranges import send
from services.api.schemas.jobs import ErrorOut, FileOut, ShotOut, TitleOut
from shared.core.store import Blob
from shared.ledger.tables import Artifact, Title
from shared.schemas import layout

router = APIRouter(prefix="/jobs/{job_id}", tags=["results"])

Reader = Annotated[Caller, Depends(requires("jobs:read"))]
TitleName = Annotated[
    str | None,
    Query(alias="title", max_length=200, pattern=r"^[^\x00]*$", description="Not needed where the job has one title."),
]
Part = Annotated[str, Path(max_length=200, pattern=r"^[^\x00/]+$")]
Code = Annotated[str, Path(max_length=40, pattern=r"^[A-Za-z0-9_-]+$", examples=["es"])]

USUAL = (401, 403, 404, 422, 503)


def media(kind: str) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a file that can be had in parts; ``*/*`` where its type is that of its name."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} if kind != "*/*" else {}}
    return {
        200: {"description": "The file.", "content": content},
        206: {"description": "The part asked for.", "content": content},
        304: {"description": "The caller has this version."},
        **documented(*USUAL, 416),
    }


@router.get("/titles", operation_id="list_titles", summary="Titles of a job", responses=documented(*USUAL))
def list_titles(here: Here, caller: Reader, job_id: JobId, limit: Limit = 100, cursor: Cursor = None) -> Page[TitleOut]:
    """In the order they were submitted."""
    query = select(Title).where(Title.job_id == job_id)
    if cursor is not None:
        query = query.where(Title.position > decode(cursor, int)[0])
    with here.database.read() as session:
        own_job(session, caller, job_id)
        titles, more = cut(list(session.scalars(query.order_by(Title.position).limit(limit + 1))), limit)
    items = [
        TitleOut(
            name=title.name,
            state=title.state,
            source=title.source_kind,
            source_name=title.source_name,
            languages=title.languages,
            error=ErrorOut.model_validate(title.error) if title.error else None,
            tasks_open=title.open_runs,
        )
        for title in titles
    ]
    return Page(items=items, next=encode(titles[-1].position) if more else None)


@router.get(
    "/titles/{title}",
    operation_id="get_title",
    summary="title.json: probe, shots, engines, licences, timings",
    response_class=JSONResponse,
    responses=documented(*USUAL),
)
def get_title(here: Here, caller: Reader, job_id: JobId, title: Part) -> Response:
    """As described in docs/output.md."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        one_title(session, job, title)
        found = artifact(session, job, layout.posix(title, "title.json"))
    return Response(content(here, found), media_type="application/json")


def content(here: Services, found: Artifact) -> bytes:
    """A small file as a whole, from the local copy where there is one."""
    try:
        return here.store.fetch(Blob(found.name, found.sha256, found.size)).read_bytes()
    except FileNotFoundError as error:
        raise not_found("The file is no longer in the store.", "artifact_lost") from error


@router.get("/shots", operation_id="list_shots", summary="Shots of a title", responses=documented(*USUAL))
def list_shots(
    here: Here, caller: Reader, job_id: JobId, title: TitleName = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[ShotOut]:
    """Every shot; clips of those that are long and short enough to become pairs."""
    first = decode(cursor, int)[0] if cursor is not None else 0
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        found = artifact(session, job, layout.posix(name, "title.json"))
        record = json.loads(content(here, found))
        chosen = (record.get("shots") or [])[first : first + limit + 1]
        source = (record.get("source_language") or {}).get("language")
        clips = {
            layout.clip_path(name, shot["index"], track, source): (shot["index"], track)
            for shot in chosen
            for track in record.get("tracks") or []
        }
        there: dict[int, dict[str, str]] = {}
        paths = list(clips)
        for at in range(0, len(paths), 1000):
            wanted = Artifact.job_id == job.id, Artifact.path.in_(paths[at : at + 1000])
            for path in session.scalars(select(Artifact.path).where(*wanted)):
                shot, track = clips[path]
                there.setdefault(shot, {})[track] = href(job_id, path)
    shots, more = cut(chosen, limit)
    items = [
        ShotOut(index=shot["index"], start=shot["start"], end=shot["end"], clips=there.get(shot["index"], {}))
        for shot in shots
    ]
    return Page(items=items, next=encode(first + limit) if more else None)


@router.get(
    "/utterances/{language}",
    operation_id="list_utterances",
    summary="Lines of a title in one language",
    responses=documented(*USUAL),
)
def list_utterances(
    here: Here,
    caller: Reader,
    job_id: JobId,
    language: Code,
    title: TitleName = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[dict[str, Any]]:
    """The source language (or `orig`), a target language, or `control`. `href` takes a PATCH with another text."""
    first = decode(cursor, int)[0] if cursor is not None else 0
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        if language == layout.ORIG:
            record = json.loads(content(here, artifact(session, job, layout.posix(name, "title.json"))))
            language = (record.get("source_language") or {}).get("language") or layout.ORIG
        found = artifact(session, job, layout.posix(name, "utterances", f"{language}.jsonl"))
    lines = content(here, found).splitlines()
    chosen, more = cut([json.loads(line) for line in islice(lines, first, first + limit + 1)], limit)
    spoken = language.removesuffix("-revoiced")
    items = [{**line, "href": f"/v1/utterances/{job_id}.{name}.{spoken}.{line['id']}"} for line in chosen]
    return Page(items=items, next=encode(first + limit) if more else None)


@router.head("/tracks/{track}", include_in_schema=False)
@router.get(
    "/tracks/{track}",
    operation_id="get_track",
    summary="A title's whole sound track (FLAC)",
    response_class=Response,
    responses=media("audio/flac"),
)
def get_track(
    request: Request, here: Here, caller: Reader, job_id: JobId, track: Code, title: TitleName = None
) -> Response:
    """`orig`, `control` or a target language; whole or in parts (Range)."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        found = artifact(session, job, layout.track_path(one_title(session, job, title).name, track))
    return send(request, here.files, found)


@router.get("/files", operation_id="list_files", summary="All finished files", responses=documented(*USUAL))
def list_files(
    here: Here, caller: Reader, job_id: JobId, title: TitleName = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[FileOut]:
    """In the output layout of docs/output.md, in order of their paths."""
    query = select(Artifact).where(Artifact.job_id == job_id, Artifact.internal.is_(False))
    if title is not None:
        query = query.where(Artifact.title == title)
    if cursor is not None:
        query = query.where(Artifact.path > decode(cursor, str)[0])
    with here.database.read() as session:
        own_job(session, caller, job_id)
        files, more = cut(list(session.scalars(query.order_by(Artifact.path).limit(limit + 1))), limit)
    items = [
        FileOut(path=file.path, title=file.title, bytes=file.size, sha256=file.sha256, href=href(job_id, file.path))
        for file in files
    ]
    return Page(items=items, next=encode(files[-1].path) if more else None)


def href(job_id: str, path: str) -> str:
    return f"/v1/jobs/{job_id}/files/{path}"


@router.head("/files/{path:path}", include_in_schema=False)
@router.get(
    "/files/{path:path}",
    operation_id="get_file",
    summary="One finished file",
    response_class=Response,
    responses=media("*/*"),
)
def get_file(
    request: Request,
    here: Here,
    caller: Reader,
    job_id: JobId,
    path: Annotated[str, Path(max_length=500, pattern=r"^[^\x00]+$", examples=["pairs.parquet"])],
) -> Response:
    """Whole or in parts (Range). The ETag is the content's sha256."""
    with here.database.read() as session:
        found = artifact(session, own_job(session, caller, job_id), path)
    policy = report_page.headers(here.files, found) if path.endswith(".html") else {}
    return send(request, here.files, found, policy)


@router.get(
    "/pairs",
    operation_id="list_pairs",
    summary="Rows of pairs.parquet (or rejects.parquet)",
    response_model=Page[dict[str, Any]],
    responses={
        200: {"content": {parquet_rows.PARQUET: {"schema": {"type": "string", "format": "binary"}}}},
        **documented(*USUAL, 416),
    },
)
def list_pairs(
    request: Request,
    here: Here,
    caller: Reader,
    job_id: JobId,
    rejected: Annotated[bool, Query(description="The rejected rows instead, which say why.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """Columns: docs/output.md. With `Accept: application/vnd.apache.parquet` the table as such."""
    first = decode(cursor, int)[0] if cursor is not None else 0
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        found = artifact(session, job, "rejects.parquet" if rejected else "pairs.parquet")
    if parquet_rows.PARQUET in request.headers.get("accept", ""):
        return send(request, here.files, found)
    chosen, more = parquet_rows.read_rows(here.store, found, first, limit)
    return Page[dict[str, Any]](items=chosen, next=encode(first + limit) if more else None)


@router.head("/report", include_in_schema=False)
@router.get(
    "/report",
    operation_id="get_report",
    summary="The report (HTML)",
    response_class=Response,
    responses=media("text/html"),
)
def get_report(request: Request, here: Here, caller: Reader, job_id: JobId) -> Response:
    """One file that needs nothing else."""
    with here.database.read() as session:
        found = artifact(session, own_job(session, caller, job_id), "report.html")
    return send(request, here.files, found, report_page.headers(here.files, found))
