"""A job's files as one ZIP that is written while it is sent: nothing of it lies on a disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Path
from sqlalchemy import select
from starlette.responses import Response, StreamingResponse

from services.api.auth.keys import Reader
from services.api.auth.ownership import JobId, artifact, own_job
from services.api.dependencies import Here
from services.api.http.problems import documented
from services.api.http.ranges import BLOCK, BlobFiles, begun, disposition
from services.api.http.stored_files import blob_of
from shared.ledger.tables import Artifact

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ZIP = "application/zip"
WHEN = (1980, 1, 1, 0, 0, 0)
"""Of every entry, so that the same files give the same archive."""

router = APIRouter(prefix="/jobs/{job_id}", tags=["results"])


@router.get(
    "/archive/{kind}",
    operation_id="get_archive",
    summary="Many finished files at once (ZIP, not packed)",
    response_class=Response,
    responses={
        200: {"description": "The archive.", "content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}},
        **documented(401, 403, 404, 422, 503),
    },
)
def get_archive(
    here: Here,
    caller: Reader,
    job_id: JobId,
    kind: Annotated[Literal["lvu-m", "everything"], Path(description="Clips and their table, or the output folder.")],
) -> Response:
    """`lvu-m`: `<title>/shots/<title>_<shot>_<language>.mp4` and pairs.parquet."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        artifact(session, job, "pairs.parquet")
        rows = session.scalars(select(Artifact).where(Artifact.job_id == job.id, Artifact.internal.is_(False)))
        files = sorted(rows, key=lambda row: row.path)
    if kind == "lvu-m":
        files = [file for file in files if "/shots/" in file.path or file.path == "pairs.parquet"]
    headers = {"Content-Disposition": disposition(f"{job_id}-{kind}.zip", inline=False)}
    return StreamingResponse(begun(written(here.files, files)), headers=headers, media_type=ZIP)


class Outlet(io.RawIOBase):
    """What zipfile writes to: handed on, and forgotten."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        self.parts.append(bytes(data))
        return len(self.parts[-1])

    def taken(self) -> bytes:
        parts, self.parts = self.parts, []
        return b"".join(parts)


def written(files: BlobFiles, rows: Sequence[Artifact]) -> Iterator[bytes]:
    """The archive's bytes; at most a block of a file and its headers are in memory."""
    out = Outlet()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for row in rows:
            entry = zipfile.ZipInfo(row.path, WHEN)
            entry.file_size = row.size
            with archive.open(entry, "w", force_zip64=row.size >= 2**31 - BLOCK) as target:
                for block in files.blocks(blob_of(row), 0, row.size):
                    target.write(block)
                    yield out.taken()
    yield out.taken()
