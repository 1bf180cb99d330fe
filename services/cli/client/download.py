"""Bringing a job's files home: the output layout, every file checked by its hash, nothing fetched twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from services.cli.client.remote import Patience, Server, path_of, raise_problem
from shared.core.errors import StorageError
from shared.core.storage_errors import storage_errors
from shared.core.store import file_digest

AT_ONCE = 4

Got = Callable[[int], None]
"""``got(bytes)``: so many more are here."""


def fetch_all(server: Server, files: list[dict[str, Any]], out: Path, got: Got) -> None:
    """Lay a job's files out below ``out``. What is there and fits stays as it is; what broke off goes on.

    Raises:
        StorageError: ``unsafe_path``, ``damaged_download``, ``disk_full``, ``not_writable``, ``server_away``.
    """
    targets = [(file, target(out, file["path"])) for file in files]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(fetch, server, file, path, got) for file, path in targets]
        try:
            for future in running:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def target(out: Path, path: str) -> Path:
    """Where a file goes. A server must not be able to write anywhere else."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or any(part == ".." or "\\" in part or ":" in part[:2] for part in parts):
        raise StorageError(f"The server names a file “{path}”, which is not taken.", code="unsafe_path")
    return out.joinpath(*parts)


def fetch(server: Server, file: dict[str, Any], path: Path, got: Got) -> None:
    """One file."""
    size, sha256 = int(file["bytes"]), str(file["sha256"])
    if path.is_file() and path.stat().st_size == size and file_digest(path) == sha256:
        got(size)
        return
    with storage_errors("the output folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{sha256[:12]}.part")
    patience = Patience(server)

    def go_on() -> None:
        have = partial.stat().st_size if partial.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if 0 < have < size:
            headers |= {"Range": f"bytes={have}-", "If-Range": f'"{sha256}"'}
        with server.http.stream("GET", path_of(file["href"]), headers=headers) as response:
            raise_problem(response)
            goes_on = response.status_code == 206
            with storage_errors("the output folder"), partial.open("ab" if goes_on else "wb") as into:
                for block in response.iter_bytes():
                    into.write(block)
                    patience.renew()

    for attempt in (1, 2):
        server.patiently(go_on, patience)
        if partial.stat().st_size == size and file_digest(partial) == sha256:
            break
        partial.unlink()
        if attempt == 2:
            raise StorageError(
                f"{file['path']} came damaged twice. Try again; if it stays so, the server's store is damaged.",
                code="damaged_download",
                retryable=True,
            )
    with storage_errors("the output folder"):
        partial.replace(path)
    got(size)
