"""What a training made: its metrics and its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from sqlalchemy import or_, select
from starlette.responses import JSONResponse, Response, StreamingResponse

from services.api.auth.keys import Reader
from services.api.auth.ownership import TrainingId, artifact, own_training
from services.api.dependencies import Here, Services
from services.api.http.pagination import Cursor, decode, encode, make_page
from services.api.http.problems import documented
from services.api.http.ranges import send
from services.api.routes.artifacts import USUAL, FilePath, media, shown_file
from services.api.schemas.jobs import FileOut
from services.api.schemas.trainings import MetricsPage, MetricsPoint
from shared.ledger.tables import Artifact
from shared.ledger.training_tables import TrainingPoint

LINES = "application/x-ndjson"
MOST = 5000
DRAWN = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
"""Of curves.html: it may look as it does, and do nothing."""
router = APIRouter(prefix="/trainings/{training_id}", tags=["trainings"])


@router.get(
    "/metrics",
    operation_id="list_metrics",
    summary="A training's curves: a page of JSON, or JSON lines",
    response_class=Response,
    responses={
        200: {
            "description": "A page, or a line for each line of metrics.",
            "content": {
                LINES: {"schema": {"type": "string"}},
                "application/json": {"schema": {"$ref": "#/components/schemas/MetricsPage"}},
            },
        },
        **documented(*USUAL),
    },
)
def list_metrics(
    request: Request,
    here: Here,
    caller: Reader,
    training_id: TrainingId,
    since: Annotated[int, Query(ge=0, lt=2**31, description="From this step on, itself included.")] = 0,
    kind: Annotated[Literal["train", "validation"] | None, Query(description="Only these lines.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="Points on a page.")] = 1000,
    cursor: Cursor = None,
    format: Annotated[Literal["json", "jsonl"] | None, Query(description="Instead of Accept.")] = None,
) -> Response:
    """In order of steps.

    A step may have a line of the training and, later, one of validation (`held_out`): ask again from the step that was
    reached, and take the newer line where there are two of a kind.
    """
    with here.database.read() as session:
        own_training(session, caller, training_id)
    if format == "jsonl" or (format is None and LINES in request.headers.get("accept", "")):
        return StreamingResponse(all_lines(here, training_id, since, kind), media_type=LINES)
    reached = tuple(decode(cursor, int, str)) if cursor is not None else None
    rows = points(here, training_id, since, kind, reached, limit + 1)
    page = make_page(rows, limit, lambda point: point, lambda point: encode(point.step, point.kind))
    return JSONResponse(MetricsPage(items=page.items, next=page.next).model_dump(mode="json"))


def points(
    here: Services, training_id: str, since: int, kind: str | None, reached: tuple[Any, ...] | None, most: int
) -> list[MetricsPoint]:
    """Points from a step on, and behind the one that was reached."""
    query = select(TrainingPoint).where(TrainingPoint.training_id == training_id, TrainingPoint.step >= since)
    if kind is not None:
        query = query.where(TrainingPoint.kind == kind)
    if reached is not None:
        step, last = reached
        same = (TrainingPoint.step == step) & (TrainingPoint.kind > last)
        query = query.where(or_(TrainingPoint.step > step, same))
    with here.database.read() as session:
        rows = session.scalars(query.order_by(TrainingPoint.step, TrainingPoint.kind).limit(most))
        return [MetricsPoint(step=row.step, kind=row.kind, values=row.data) for row in rows]


def all_lines(here: Services, training_id: str, since: int, kind: str | None) -> Iterator[bytes]:
    """Every point as the training wrote it, a line each."""
    reached = None
    while block := points(here, training_id, since, kind, reached, MOST):
        yield b"".join(json.dumps(point.values).encode() + b"\n" for point in block)
        reached = block[-1].step, block[-1].kind


@router.get("/files", operation_id="list_training_files", summary="Files of a training", responses=documented(*USUAL))
def list_training_files(here: Here, caller: Reader, training_id: TrainingId) -> list[FileOut]:
    """The newest checkpoint, recipe, metrics and curves; there while it runs, too."""
    with here.database.read() as session:
        own_training(session, caller, training_id)
        files = session.scalars(select(Artifact).where(Artifact.job_id == training_id).order_by(Artifact.path)).all()
    return [shown_file(file, f"/v1/trainings/{training_id}") for file in files]


@router.head("/files/{path:path}", include_in_schema=False)
@router.get(
    "/files/{path:path}",
    operation_id="get_training_file",
    summary="One file of a training",
    response_class=Response,
    responses=media("*/*"),
)
def get_training_file(
    request: Request,
    here: Here,
    caller: Reader,
    training_id: TrainingId,
    path: Annotated[FilePath, Path(examples=["checkpoint.pt"])],
) -> Response:
    """Whole or in parts (Range). The ETag is the content's sha256."""
    with here.database.read() as session:
        stored = artifact(session, own_training(session, caller, training_id)[0], path)
    return send(request, here.files, stored, DRAWN if path.endswith(".html") else {})
