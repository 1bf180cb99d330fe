"""What a job may name instead of sending it: URLs, objects of buckets, files below folders of the server.

Only what can be said from the text alone: whoever takes a request asks here first, whoever fetches asks again and
looks at the network and the disk as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from shared.core.errors import UsageError
from shared.core.public_http import check_url
from shared.queue.service_settings import ServiceSettings

S3 = "s3://"


def check_locator(kind: str, locator: str, settings: ServiceSettings) -> None:
    """Refuse what is certainly not allowed.

    Args:
        kind: ``url`` or ``path``; what begins with ``s3://`` is an object of a bucket under either.

    Raises:
        UsageError: ``url_not_allowed`` or ``path_not_allowed``. The message repeats nothing of the locator.
    """
    if locator.startswith(S3):
        s3_object(locator, settings)
    elif kind == "path":
        allowed_folder(locator, settings.allowed_paths)
    elif not settings.allow_urls:
        raise UsageError("This service fetches no videos by URL: upload the file.", code="url_not_allowed")
    else:
        check_url(locator, settings.private_hosts)


def s3_object(locator: str, settings: ServiceSettings) -> str:
    """``bucket/key`` of an ``s3://`` URL.

    Raises:
        UsageError: ``url_not_allowed``.
    """
    name = locator.removeprefix(S3)
    parts = name.split("/")
    plain = len(parts) > 1 and all(part not in ("", ".", "..") for part in parts) and name.isprintable()
    folders = (allowed.removeprefix(S3).strip("/") for allowed in settings.allowed_buckets)
    if not plain or not any(name.startswith(f"{folder}/") for folder in folders if folder):
        raise UsageError("This object is in no bucket that jobs may name videos in.", code="url_not_allowed")
    return name


def allowed_folder(locator: str, folders: Iterable[Path]) -> tuple[Path, Path]:
    """The one of the allowed folders that a path is below, and the path from there, by its text.

    Raises:
        UsageError: ``path_not_allowed``.
    """
    path = Path(locator)
    if path.is_absolute() and ".." not in path.parts and locator.isprintable():
        for folder in folders:
            below = Path(os.path.abspath(folder))  # noqa: PTH100 - links are followed by whoever opens
            if path != below and path.is_relative_to(below):
                return below, path.relative_to(below)
    raise path_not_allowed()


def path_not_allowed() -> UsageError:
    """One answer for everything, so that nobody learns which files there are."""
    return UsageError("This is no file below a folder that jobs may name videos in.", code="path_not_allowed")
