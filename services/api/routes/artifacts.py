"""What a job made: titles, shots, lines, tracks, rows, the report, and every file by its path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select
from starlette.responses import Response

from services.api import parquet_rows, report_page
from services.api.auth.keys import Reader
from services.api.auth.ownership import JobId, artifact, one_title, own_job
from services.api.dependencies import Here
from services.api.http.pagination import (
    Cursor,
    Limit,
    Page,
    cut,
    encode,
    first_number,
    in_order_of,
    make_page,
    numbered_page,
)
from services.api.http.problems import documented
from services.api.http.ranges import send
from services.api.http.stored_files import read_file
from services.api.schemas.jobs import ErrorOut, FileOut, ShotOut, TitleOut
from shared.core.store import Store
from shared.ledger.tables import Artifact, Title
from shared.schemas import layout

router = APIRouter(prefix="/jobs/{job_id}", tags=["results"])

TitleName = Annotated[
    str | None,
    Query(alias="title", max_length=200, pattern=r"^[^\x00]*$", description="Not needed where the job has one title."),
]
Part = Annotated[str, Path(max_length=200, pattern=r"^[^\x00/]+$")]
FilePath = Annotated[str, Path(max_length=500, pattern=r"^[^\x00]+$")]
Code = Annotated[str, Path(max_length=40, pattern=r"^[A-Za-z0-9_-]+$", examples=["es"])]

LineId = Annotated[str, Path(max_length=16, pattern=r"^[A-Za-z0-9_-]+$", examples=["u0001"])]

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
    query = in_order_of(select(Title).where(Title.job_id == job_id), Title.position, int, limit, cursor)
    with here.database.read() as session:
        own_job(session, caller, job_id)
        titles = list(session.scalars(query))
    return make_page(titles, limit, shown_title, lambda title: encode(title.position))


def shown_title(title: Title) -> TitleOut:
    return TitleOut(
        name=title.name,
        state=title.state,
        source=title.source_kind,
        source_name=title.source_name,
        languages=title.languages,
        error=ErrorOut.model_validate(title.error) if title.error else None,
        tasks_open=title.open_runs,
    )


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
        record = artifact(session, job, layout.posix(title, "title.json"))
    return Response(read_file(here.store, record), media_type="application/json")


def read_title(store: Store, record: Artifact) -> dict[str, Any]:
    """A stored title.json, as described in docs/output.md."""
    return dict(json.loads(read_file(store, record)))


def source_language(title: Mapping[str, Any]) -> str | None:
    """What is spoken in a title, as its title.json says; None where that was not found."""
    return (title.get("source_language") or {}).get("language")


@router.get("/shots", operation_id="list_shots", summary="Shots of a title", responses=documented(*USUAL))
def list_shots(
    here: Here, caller: Reader, job_id: JobId, title: TitleName = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[ShotOut]:
    """Every shot; clips of those that are long and short enough to become pairs."""
    first = first_number(cursor)
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        record = read_title(here.store, artifact(session, job, layout.posix(name, "title.json")))
        chosen = (record.get("shots") or [])[first : first + limit + 1]
        source = source_language(record)
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
    return numbered_page(items, more, first + limit)


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
    first = first_number(cursor)
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        if language == layout.ORIG:
            record = read_title(here.store, artifact(session, job, layout.posix(name, "title.json")))
            language = source_language(record) or layout.ORIG
        utterances = artifact(session, job, layout.posix(name, "utterances", f"{language}.jsonl"))
    lines = read_file(here.store, utterances).splitlines()
    chosen, more = cut([json.loads(line) for line in islice(lines, first, first + limit + 1)], limit)
    spoken = language.removesuffix("-revoiced")
    items = [{**line, "href": f"/v1/utterances/{job_id}.{name}.{spoken}.{line['id']}"} for line in chosen]
    return numbered_page(items, more, first + limit)


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
        stored = artifact(session, job, layout.track_path(one_title(session, job, title).name, track))
    return send(request, here.files, stored)


@router.get("/files", operation_id="list_files", summary="All finished files", responses=documented(*USUAL))
def list_files(
    here: Here, caller: Reader, job_id: JobId, title: TitleName = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[FileOut]:
    """In the output layout of docs/output.md, in order of their paths."""
    query = select(Artifact).where(Artifact.job_id == job_id, Artifact.internal.is_(False))
    if title is not None:
        query = query.where(Artifact.title == title)
    query = in_order_of(query, Artifact.path, str, limit, cursor)
    with here.database.read() as session:
        own_job(session, caller, job_id)
        files = list(session.scalars(query))
    base = f"/v1/jobs/{job_id}"
    return make_page(files, limit, lambda file: shown_file(file, base), lambda file: encode(file.path))


def shown_file(file: Artifact, base: str) -> FileOut:
    """A finished file as callers see it; ``base`` is the address of its job or training."""
    href = f"{base}/files/{file.path}"
    return FileOut(path=file.path, title=file.title, bytes=file.size, sha256=file.sha256, href=href)


def href(job_id: str, path: str) -> str:
    """The address of a job's file."""
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
    path: Annotated[FilePath, Path(examples=["pairs.parquet"])],
) -> Response:
    """Whole or in parts (Range). The ETag is the content's sha256."""
    with here.database.read() as session:
        stored = artifact(session, own_job(session, caller, job_id), path)
    policy = report_page.headers(here.files, stored) if path.endswith(".html") else {}
    return send(request, here.files, stored, policy)


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
    first = first_number(cursor)
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        table = artifact(session, job, "rejects.parquet" if rejected else "pairs.parquet")
    if parquet_rows.PARQUET in request.headers.get("accept", ""):
        return send(request, here.files, table)
    rows, more = parquet_rows.read_rows(here.store, table, first, limit)
    return numbered_page(rows, more, first + limit)


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
        stored = artifact(session, own_job(session, caller, job_id), "report.html")
    return send(request, here.files, stored, report_page.headers(here.files, stored))
