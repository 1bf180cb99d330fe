"""The first task of a title that is named rather than sent: bring the video here, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import httpx2

from shared.core.errors import CounterdubError, InputError
from shared.core.public_http import check_url, client
from shared.core.storage_errors import storage_errors
from shared.queue.locators import S3, allowed_folder, check_locator, path_not_allowed, s3_object
from shared.queue.service_settings import FETCH, ServiceSettings
from shared.settings.models import LimitSettings

Progress = Callable[[int, int | None], None]
"""Called about twice a second with the bytes that are here and the bytes expected; may raise to stop."""

MAX_REDIRECTS = 5
IDLE_S = 30.0
SHARE_OF_LIMIT = 0.95
"""Of the task's time limit: its own end comes with a better word than the process's."""

BLOCK = 2**20
S3_BLOCK = 8 * 2**20
TICK_S = 0.5

REDIRECTS = (301, 302, 303, 307, 308)
WORTH_RETRYING = (408, 425, 429, 500, 502, 503, 504)


def fetch(
    locator: str, kind: str, into: Path, settings: ServiceSettings, limits: LimitSettings, progress: Progress
) -> None:
    """Write what ``locator`` names to the file ``into``.

    Args:
        locator: http(s) URL, ``s3://bucket/key`` or a path on this machine.
        kind: ``url`` or ``path``; what begins with ``s3://`` is an object of a bucket under either.
        into: The file to write; it must not be there.

    Raises:
        UsageError: ``url_not_allowed`` or ``path_not_allowed``.
        InputError: ``too_large``.
        CounterdubError: ``fetch_failed`` (retryable where another try may help) or ``fetch_timeout`` (retryable).
        StorageError: ``disk_full``, ``not_writable`` or ``io_error``.
    """
    with storage_errors("the fetched video"), into.open("xb") as file:
        target = Target(file, min(limits.max_bytes, settings.max_upload_bytes), settings.limit(FETCH), progress)
        if locator.startswith(S3):
            from_s3(s3_object(locator, settings), target)
        elif kind == "path":
            from_path(locator, target, settings)
        else:
            check_locator(kind, locator, settings)
            asyncio.run(from_url(locator, target, settings))
        target.finish()


class Target:
    """The file that is written, and the limits that it is held against."""

    def __init__(self, file: BinaryIO, max_bytes: int, limit_s: float, progress: Progress) -> None:
        self.size = 0
        self.expected: int | None = None
        self._file = file
        self._max_bytes = max_bytes
        self._seconds = limit_s * SHARE_OF_LIMIT
        self._deadline = time.monotonic() + self._seconds
        self._progress = progress
        self._told = -TICK_S

    def expect(self, size: int | None) -> None:
        """Take note of the announced size, which may be a lie."""
        self.expected = size
        self._hold(size or 0)

    def write(self, block: bytes) -> None:
        self.size += len(block)
        self._hold(self.size)
        self._file.write(block)

    def tick(self) -> None:
        """To be called all the time, also while nothing comes."""
        now = time.monotonic()
        if now > self._deadline:
            raise timeout(f"within {self._seconds:.0f} s")
        if now - self._told >= TICK_S:
            self._told = now
            self._progress(self.size, self.expected)

    def finish(self) -> None:
        if self.expected is not None and self.size != self.expected:
            raise failed("The video broke off before its announced end.", retryable=True)
        self._progress(self.size, self.size)

    def _hold(self, size: int) -> None:
        if size > self._max_bytes:
            raise InputError(
                f"The video has more than {self._max_bytes:,} bytes, which is the limit here.", code="too_large"
            )


async def from_url(url: str, target: Target, settings: ServiceSettings) -> None:
    """Download, following redirects by hand; every hop is checked like the first."""
    download = asyncio.ensure_future(_download(url, target, settings))
    try:
        # Also while a server is silent somebody may want to stop the task, and its time may be over.
        while not download.done():
            await asyncio.wait([download], timeout=TICK_S)
            target.tick()
    finally:
        download.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await download
    download.result()


async def _download(url: str, target: Target, settings: ServiceSettings) -> None:
    headers = {"Accept": "video/*, */*;q=0.5", "Accept-Encoding": "identity", "User-Agent": "counterdub"}
    place = check_url(url, settings.private_hosts)
    with _http_errors():
        for _ in range(MAX_REDIRECTS + 1):
            # A new client each time: no cookies, and credentials go to no other host.
            async with (
                client(settings.private_hosts, IDLE_S) as http,
                http.stream("GET", place, headers=headers) as response,
            ):
                if response.status_code not in REDIRECTS:
                    return await _receive(response, target)
                location = response.headers.get("location", "")
                place = check_url(str(_join(place, location)), settings.private_hosts)
    raise failed(f"The URL leads through more than {MAX_REDIRECTS} redirects.")


def _join(place: httpx2.URL, location: str) -> httpx2.URL:
    try:
        return place.join(location)
    except (httpx2.InvalidURL, ValueError) as error:
        raise failed("The server redirects to something that is no URL.") from error


async def _receive(response: httpx2.Response, target: Target) -> None:
    status = response.status_code
    if status != 200:
        raise failed(f"The server answered {status}.", retryable=status in WORTH_RETRYING, status=status)
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise failed("The server sends the video compressed though it was asked not to.")
    length = response.headers.get("content-length", "")
    target.expect(int(length) if length.isascii() and length.isdigit() else None)
    async for block in response.aiter_raw(BLOCK):
        target.write(block)


@contextlib.contextmanager
def _http_errors() -> Iterator[None]:
    """Only the kind of failure is told: a library's own words may repeat the URL, and so its secrets."""
    try:
        yield
    except httpx2.TimeoutException:
        raise timeout(f"for {IDLE_S:.0f} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise failed(f"The server cannot be reached or breaks off ({type(error).__name__}).", retryable=True) from None


def from_s3(name: str, target: Target) -> None:
    """Copy an object of a bucket by ranges of a few MiB."""
    try:
        # Not by URL: fsspec's own would understand chains such as “s3://a::http://b”.
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        facts: Mapping[str, Any] = system.info(name)
        if facts.get("type") != "file":
            raise failed("There is no such object in the bucket.")
        target.expect(facts["size"])
        with system.open(name, "rb", block_size=S3_BLOCK, cache_type="readahead") as source:
            _copy(source, target)
    except CounterdubError:
        raise
    except FileNotFoundError:
        raise failed("There is no such object in the bucket.") from None
    except PermissionError:
        raise failed("The bucket refuses access to this object.") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Whatever the S3 library raises; its words may hold keys and signed addresses.
        raise failed(f"The bucket does not answer as it should ({type(error).__name__}).", retryable=True) from None


def from_path(locator: str, target: Target, settings: ServiceSettings) -> None:
    """Copy a regular file; links are followed only as long as they stay below the allowed folders."""
    try:
        folders = [Path(os.path.realpath(folder)) for folder in settings.allowed_paths]
        source = open_below(*allowed_folder(os.path.realpath(locator), folders))
    except (OSError, ValueError) as error:
        raise path_not_allowed() from error
    with source:
        target.expect(os.fstat(source.fileno()).st_size)
        _copy(source, target)


def open_below(folder: Path, below: Path) -> BinaryIO:
    """Open a regular file step by step, so that nobody can slip a link in between check and use.

    Raises:
        OSError: Not there, not readable, not a regular file, or a link on the way.
    """
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in below.parts[:-1]:
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            os.close(directory)
            directory = deeper
        # Without O_NONBLOCK a named pipe would wait for its other end.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(below.name, flags, dir_fd=directory)
    finally:
        os.close(directory)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("not a regular file")
    return os.fdopen(handle, "rb")


def _copy(source: Any, target: Target) -> None:
    while block := source.read(BLOCK):
        target.write(block)
        target.tick()


def failed(why: str, *, retryable: bool = False, **details: Any) -> CounterdubError:
    return CounterdubError(
        f"The video could not be fetched: {why}", code="fetch_failed", retryable=retryable, **details
    )


def timeout(how_long: str) -> CounterdubError:
    return CounterdubError(f"The video's server did not deliver {how_long}.", code="fetch_timeout", retryable=True)
