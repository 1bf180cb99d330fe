"""Bringing videos to a server: small ones with the request, large ones before it, in parts that can go on (tus)."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from services.cli.client.remote import Patience, Server, path_of, raise_problem
from shared.core.errors import InputError, UsageError

SMALL_BYTES = 32 * 2**20
"""Videos that are not larger together go in one request."""
FEW = 50
BLOCK = 2**18
TUS = {"Tus-Resumable": "1.0.0"}

Sent = Callable[[str, int, int], None]
"""``sent(name, bytes so far, bytes in all)``"""


@dataclass(frozen=True)
class SubmitOrder:
    """What is asked of the server."""

    files: Sequence[Path]
    urls: Sequence[str]
    languages: Sequence[str]
    profile: str = "cpu"
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    transcript: str | None = None
    translations: Mapping[str, str] = field(default_factory=dict)
    """Language → text."""
    subtitles: str | None = None

    def wish(self) -> dict[str, Any]:
        given = {
            "profile": self.profile,
            "settings": self.settings,
            "name": self.name,
            "subtitles": self.subtitles or "",
        }
        return {"languages": list(self.languages), **{key: value for key, value in given.items() if value}}


def submit(server: Server, order: SubmitOrder, sent: Sent) -> dict[str, Any]:
    """Have a job made; returns it. However often a request is sent again, it is one job.

    Raises:
        UsageError: ``transcript_needs_one_video``, ``translation_needs_one_video``, or what the server says.
        InputError: ``unreadable``.
        StorageError: ``server_away``.
    """
    if order.transcript is not None and len(order.files) + len(order.urls) != 1:
        raise UsageError("--transcript goes with one video.", code="transcript_needs_one_video")
    if order.translations and len(order.files) + len(order.urls) != 1:
        raise UsageError("--translation goes with one video.", code="translation_needs_one_video")
    once = {"Idempotency-Key": uuid.uuid4().hex}
    sizes = [readable(path) for path in order.files]
    if order.files and not order.urls and sum(sizes) <= SMALL_BYTES and len(order.files) <= FEW:
        with ExitStack() as opened:
            made: dict[str, Any] = server.call(
                "POST", "/v1/jobs", lambda: form(order, opened), headers=once, timeout=600
            ).json()
        for path, size in zip(order.files, sizes, strict=True):
            sent(path.name, size, size)
        return made
    sources: list[dict[str, Any]] = [{"upload": upload(server, path, sent), "name": path.name} for path in order.files]
    sources += [{"url": url} for url in order.urls]
    if order.transcript is not None:
        sources[0]["transcript"] = order.transcript
    if order.translations:
        sources[0]["translations"] = dict(order.translations)
    made = server.call("POST", "/v1/jobs", json={**order.wish(), "sources": sources}, headers=once).json()
    return made


def form(order: SubmitOrder, opened: ExitStack) -> dict[str, Any]:
    """The order as a form, its files open at their beginning."""
    wish = order.wish()
    data = {"languages": wish.pop("languages")} | {
        key: json.dumps(value) if isinstance(value, dict) else value for key, value in wish.items()
    }
    if order.transcript is not None:
        data["transcript"] = order.transcript
    data |= {f"translation.{language}": text for language, text in order.translations.items()}
    files = [("video", (path.name, opened.enter_context(path.open("rb")))) for path in order.files]
    return {"data": data, "files": files}


def upload(server: Server, path: Path, sent: Sent) -> str:
    """Bring a file to the server; returns the upload's id. A connection that breaks is taken up where it was."""
    size = readable(path)
    name = base64.b64encode(path.name.encode()).decode()
    announced = {**TUS, "Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
    place = path_of(server.call("POST", "/v1/uploads", headers=announced).headers["Location"])
    patience = Patience(server)

    def moved(done: int) -> None:
        sent(path.name, done, size)
        patience.renew()

    def go_on() -> int:
        known = server.http.head(place, headers=TUS)
        raise_problem(known)
        offset = int(known.headers["Upload-Offset"])
        sent(path.name, offset, size)
        if offset == size:
            return offset
        with path.open("rb") as file:
            file.seek(offset)
            headers = {
                **TUS,
                "Upload-Offset": str(offset),
                "Content-Type": "application/offset+octet-stream",
                "Content-Length": str(size - offset),
            }
            answer = server.http.patch(place, content=blocks(file, moved), headers=headers)
        raise_problem(answer)
        return int(answer.headers["Upload-Offset"])

    while server.patiently(go_on, patience) < size:
        continue
    return place.rpartition("/")[2]


def blocks(file: BinaryIO, progress: Callable[[int], object]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block
        progress(file.tell())


def readable(path: Path) -> int:
    """Size of a file that can be read.

    Raises:
        InputError: ``unreadable``.
    """
    try:
        with path.open("rb"):
            return path.stat().st_size
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}.", code="unreadable") from error
