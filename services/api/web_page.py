"""``/``: the web page, built from ``services/web`` and part of the package; it loads nothing from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.api.http.problems import not_found

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""Scripts and styles are files of this server and nothing else; no text can become markup."""

TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.[A-Za-z0-9_-]{1,20})?\.(js|css)")
FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


class Asset(NamedTuple):
    """A built file, as it is and packed."""

    content: bytes
    packed: bytes
    etag: str


@lru_cache(maxsize=64)
def asset(name: str) -> Asset | None:
    """A file of the built page; None if there is no such file."""
    file = resources.files("services.api") / "static"
    for part in name.split("/"):
        file = file / part
    if not file.is_file():
        return None
    content = file.read_bytes()
    return Asset(content, gzip.compress(content, 9, mtime=0), f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def answer(request: Request, name: str, headers: dict[str, str]) -> Response:
    file = asset(name)
    if file is None:
        raise not_found("The page has no such file.")
    packs = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"ETag": file.etag, "Vary": "Accept-Encoding", **headers}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if packs:
        headers["Content-Encoding"] = "gzip"
    return Response(file.packed if packs else file.content, 200, headers, TYPES[name[name.rindex(".") :]])


@router.head("/")
@router.get("/")
def get_page(request: Request) -> Response:
    """The one HTML file; where one is in it stands behind the ``#``."""
    return answer(request, "index.html", {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"})


@router.head("/assets/{name}")
@router.get("/assets/{name}")
def get_asset(request: Request, name: str) -> Response:
    """Scripts and styles. Their names change with their content, so they may be kept for ever."""
    if NAME.fullmatch(name) is None:
        raise not_found("The page has no such file.")
    return answer(request, f"assets/{name}", {"Cache-Control": FOR_EVER})
