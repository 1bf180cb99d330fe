"""Stored files over HTTP: whole or in ranges, from a local folder or S3 alike."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import quote

import fsspec
from fsspec.implementations.local import LocalFileSystem
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.api.http.problems import Refused
from services.api.http.stored_files import blob_of, lost_file
from shared.core.errors import StorageError
from shared.core.store import Blob
from shared.ledger.tables import Artifact

BLOCK = 2**15
"""Bytes sent at once. What a client does not take stays in memory, about four of these and a piece as it was read."""
READ, REMOTE_READ = 2**15, 2**18
"""Bytes read at once from a local folder, and from elsewhere, where every reading is a request."""

TYPES = {
    ".flac": "audio/flac",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    ".parquet": "application/vnd.apache.parquet",
    ".srt": "application/x-subrip",
    ".vtt": "text/vtt; charset=utf-8",
}
SHOWN = {".flac", ".mp4", ".vtt", ".json", ".html"}
"""What a browser may show in place; everything else is offered for saving."""


class BlobFiles:
    """Reads of a store that begin anywhere.

    Args:
        url: The store's, as given to :class:`shared.core.store.Store`.
    """

    def __init__(self, url: str) -> None:
        self._fs, self._root = fsspec.url_to_fs(url)

    def blocks(self, blob: Blob, start: int, end: int) -> Iterator[bytes]:
        """The bytes from ``start`` up to ``end`` in pieces of at most :data:`BLOCK`.

        Raises:
            Refused: ``artifact_lost`` (404).
            StorageError: ``store_away`` (retryable).
        """
        path = f"{self._root}/{blob.address}"
        size = READ if isinstance(self._fs, LocalFileSystem) else REMOTE_READ
        for at in range(start, end, size):
            try:
                data = self._fs.cat_file(path, start=at, end=min(at + size, end))
            except FileNotFoundError as error:
                raise lost_file() from error
            except OSError as error:
                raise StorageError("The store does not answer.", code="store_away", retryable=True) from error
            for begin in range(0, len(data), BLOCK):
                yield data[begin : begin + BLOCK]

    def check(self) -> None:
        """Raise whatever keeps the store from answering."""
        self._fs.invalidate_cache()
        self._fs.info(self._root)


def one_range(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last of a Range header; None for the whole file.

    Several ranges and what is not understood get the whole file, as the standard allows.

    Raises:
        Refused: 416.
    """
    match = re.fullmatch(r"bytes\s*+=\s*+(\d{0,19})\s*+-\s*+(\d{0,19})", header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise Refused(
            416, "range_not_satisfiable", f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )
    return start, end


def disposition(name: str, inline: bool) -> str:
    """Content-Disposition that no file name can break out of (RFC 6266)."""
    plain = re.sub(r"[^A-Za-z0-9 ._-]+", "_", name)
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def send(request: Request, files: BlobFiles, artifact: Artifact, headers: dict[str, str] | None = None) -> Response:
    """The file, or the part of it that was asked for.

    The ETag is the content's sha256, so a part fetched later fits the part fetched before or is refused.
    """
    blob = blob_of(artifact)
    name = PurePosixPath(artifact.path).name
    suffix = PurePosixPath(name).suffix
    etag = f'"{blob.sha256}"'
    head = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": disposition(name, suffix in SHOWN),
        **(headers or {}),
    }
    if etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=head)
    part = None
    # A part of another version of the file would be of no use: then the whole is sent.
    if "range" in request.headers and request.headers.get("if-range", etag) == etag:
        part = one_range(request.headers["range"], blob.size)
    start, end = part or (0, blob.size)
    head["Content-Length"] = str(end - start)
    if part:
        head["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
    status, kind = (206 if part else 200), TYPES.get(suffix, "application/octet-stream")
    if request.method == "HEAD":
        return Response(status_code=status, headers=head, media_type=kind)
    return StreamingResponse(begun(files.blocks(blob, start, end)), status, head, kind)


def begun(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, the first of them already read: what is missing must show before the status is sent."""
    # The chain forgets the first one when it has been sent.
    return itertools.chain([next(blocks, b"")], blocks)
