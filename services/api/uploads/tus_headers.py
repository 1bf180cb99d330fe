"""What tus 1.0 writes into headers, read and checked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import shutil
import unicodedata
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.datastructures import Headers

from services.api.http.problems import Refused
from shared.core.errors import StorageError
from shared.ledger.tables import now
from shared.queue.service_settings import ServiceSettings

VERSION = "1.0.0"
VERSION_HEADER = {"Tus-Resumable": VERSION}
EXTENSIONS = ("creation", "creation-with-upload", "expiration", "termination", "checksum")
ALGORITHMS = ("sha1", "sha256")
MEDIA_TYPE = "application/offset+octet-stream"
MISMATCH = 460
"""A status of tus's own."""

MAX_NAME = 200
INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories that names of files do without."""


def check_version(headers: Headers) -> None:
    if headers.get("tus-resumable") != VERSION:
        raise Refused(
            412,
            code="tus_version",
            message=f"Send the header “Tus-Resumable: {VERSION}”.",
            headers={"Tus-Version": VERSION},
        )


def number(headers: Headers, name: str) -> int:
    text = headers.get(name, "")
    if re.fullmatch(r"[0-9]{1,18}", text) is None:
        raise Refused(400, code="bad_upload", message=f"The header {name} must be a number of bytes.")
    return int(text)


def length(headers: Headers) -> int:
    return number(headers, "Upload-Length")


def offset(headers: Headers) -> int:
    return number(headers, "Upload-Offset")


def announced(headers: Headers) -> int:
    """Bytes that the body is said to have; 0 where nothing is said."""
    text = headers.get("content-length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0


def has_body(headers: Headers) -> bool:
    return announced(headers) > 0 or "transfer-encoding" in headers


def check_media_type(headers: Headers) -> None:
    if headers.get("content-type", "").strip().lower() != MEDIA_TYPE:
        raise Refused(415, code="unsupported_media_type", message=f"The Content-Type must be {MEDIA_TYPE}.")


def checksum(headers: Headers) -> tuple[str, bytes] | None:
    """Algorithm and hash of the body, where they are told."""
    text = headers.get("upload-checksum")
    if text is None:
        return None
    algorithm, _, encoded = text.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise Refused(400, code="bad_upload", message=f"Upload-Checksum knows {', '.join(ALGORITHMS)}.")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise Refused(400, code="bad_upload", message="Upload-Checksum must be an algorithm and a base64 hash.")
    return algorithm, digest


def mismatch() -> Refused:
    message = "The bytes have another hash; send them again."
    return Refused(MISMATCH, code="checksum_mismatch", message=message, retryable=True)


def file_name(metadata: str) -> str:
    """The file's name among the pairs ``key base64,key base64``; ``video`` without."""
    for pair in metadata.split(","):
        key, _, encoded = pair.strip().partition(" ")
        if key in ("filename", "name"):
            try:
                return safe_label(base64.b64decode(encoded, validate=True).decode())
            except (binascii.Error, ValueError) as error:
                raise Refused(
                    400, code="bad_upload", message="Upload-Metadata must have the name as base64 of UTF-8."
                ) from error
    return "video"


def safe_label(name: str) -> str:
    """A file name for people: no folders, no control or invisible characters, not too long, a short suffix at most.

    The store keeps the suffix.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    text = "".join(char for char in last if unicodedata.category(char) not in INVISIBLE).strip(" .")
    suffix = PurePosixPath(text).suffix
    if re.fullmatch(r"\.[A-Za-z0-9]{1,10}", suffix) is None:
        text, suffix = text.replace(".", "_"), ""
    return f"{text.removesuffix(suffix)[:MAX_NAME] or 'video'}{suffix}"


def date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def expiry(settings: ServiceSettings) -> datetime:
    return now().replace(microsecond=0) + timedelta(hours=settings.upload_hours)


def check_room(folder: Path, size: int) -> None:
    """Refuse at once what would not find room.

    Raises:
        StorageError: ``disk_full``.
    """
    if shutil.disk_usage(folder).free < size:
        raise StorageError("There is no room for a file of this size now.", code="disk_full", retryable=True)


def conflict(message: str, known: int | None = None) -> Refused:
    headers: dict[str, Any] = {} if known is None else {"Upload-Offset": str(known)}
    return Refused(409, code="wrong_offset", message=message, headers=headers, retryable=True)
