"""Content-addressed artifacts: the same work is found again by the hash of everything that went into it.

Two kinds of objects lie under one root (a local folder, or any place fsspec reaches):

    blobs/ab/<sha256><suffix>    file contents, never changed once written
    keys/ab/<key>.json           key of a piece of work → the names and hashes of its outputs

Files are written under a temporary name and renamed, and a key is written after its blobs: a killed process leaves
either the whole result or none.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from shared.core.errors import CounterdubError, StorageError
from shared.core.storage_errors import full, storage_error, storage_errors

CACHE_BYTES = 20 * 2**30
REFRESH_S = 3600.0
"""A file on an object store that is found again is made young at most so often: each time is a request."""

_holding: ContextVar[Path | None] = ContextVar("holding", default=None)
"""The workspace that copies are held in."""


@dataclass(frozen=True)
class Blob:
    """A stored file. ``name`` is what the stage called it."""

    name: str
    sha256: str
    size: int

    @property
    def address(self) -> str:
        return f"blobs/{self.sha256[:2]}/{self.sha256}{PurePosixPath(self.name).suffix}"


Outputs = Mapping[str, Blob]


def digest(value: Any) -> str:
    """sha256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def answering() -> Iterator[None]:
    """Turn what the libraries of object stores raise when they cannot reach them into an error of ours."""
    try:
        yield
    except (CounterdubError, OSError, ValueError):
        raise
    except Exception as error:
        raise StorageError(
            "The artifact store does not answer. It is tried again.", code="store_away", retryable=True
        ) from error


class Store:
    """Artifacts under one root.

    Args:
        url: A local folder or an fsspec URL (``s3://bucket/prefix``).
        local: Where local copies and temporary files go; for a local store, inside it.
        cache_bytes: What local copies may take up. Those that a task has in use come on top.
    """

    def __init__(self, url: str, local: Path | None = None, cache_bytes: int = CACHE_BYTES) -> None:
        import fsspec

        self._fs, self._root = fsspec.url_to_fs(url)
        self._is_local = "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,))
        copies = local or Path(tempfile.gettempdir()) / "counterdub-store"
        self._local = Path(self._root) if self._is_local else copies
        self._cache_bytes = cache_bytes
        self._untrimmed = cache_bytes
        """Bytes of copies since the cache was last brought down to its bound."""
        with storage_errors("the artifact store"):
            (self._local / "tmp").mkdir(parents=True, exist_ok=True)

    def find(self, key: str) -> dict[str, Blob] | None:
        """The outputs kept under ``key``, or None. A key whose blobs are gone counts as not there."""
        path = f"{self._root}/keys/{key[:2]}/{key}.json"
        try:
            with answering(), self._fs.open(path, "rb") as file:
                names = json.loads(file.read())
        except (FileNotFoundError, ValueError):
            return None
        blobs = {name: Blob(name, value["sha256"], value["size"]) for name, value in names.items()}
        for blob in blobs.values():
            try:
                if not self._used(f"{self._root}/{blob.address}", blob.size):
                    return None
            except FileNotFoundError:
                return None
        return blobs

    def put(self, key: str, files: Mapping[str, Path]) -> dict[str, Blob]:
        """Keep ``files`` under ``key``. The files are moved away from where they are.

        Raises:
            StorageError: ``disk_full``, ``not_writable`` or ``io_error``.
        """
        with storage_errors("the artifact store"):
            blobs = {name: self.add(name, path, move=True) for name, path in files.items()}
            body = {name: {"sha256": blob.sha256, "size": blob.size} for name, blob in blobs.items()}
            self._write(f"keys/{key[:2]}/{key}.json", json.dumps(body, indent=1).encode())
        return blobs

    def add(self, name: str, path: Path, move: bool = False, sha256: str = "") -> Blob:
        """Keep one file by its content.

        Args:
            sha256: Its hash, where that is known.
        """
        blob = Blob(name, sha256 or file_digest(path), path.stat().st_size)
        target = f"{self._root}/{blob.address}"
        if self._is_local:
            self._place(path, Path(target), move)
        else:
            try:
                there = self._used(target, blob.size)
            except FileNotFoundError:
                there = False
            if not there:
                with answering():
                    self._fs.put_file(str(path), target)
            if move:
                self._keep(path, blob)
        return blob

    def _used(self, path: str, size: int) -> bool:
        """Whether a file of this size is there; from now on it is young, so that no sweep takes it before it is booked.

        Raises:
            FileNotFoundError: It is not there.
            StorageError: ``store_away``.
        """
        with answering():
            facts = self._fs.info(path)
            if int(facts["size"]) != size:
                return False
            if self._is_local:
                touch(Path(path))
            elif time.time() - last_used(facts) > REFRESH_S and hasattr(self._fs, "setxattr"):
                # Copied onto itself. What is too large for that stays as old as it is.
                with contextlib.suppress(OSError):
                    self._fs.setxattr(path, used=str(int(time.time())))
        return True

    def fetch(self, blob: Blob) -> Path:
        """A local path with the blob's content. Not to be written to.

        Within a :meth:`workspace` the path stays as long as that; else it is to be opened at once.

        Raises:
            FileNotFoundError: The store has lost it.
            StorageError: ``store_away`` and what :meth:`put` raises.
        """
        if self._is_local:
            return Path(self._root) / blob.address
        path = self._local / blob.address
        while True:
            if not path.exists():
                self._download(blob)
            try:
                # Exactly now: the file system's own clock ticks too slowly to tell copies apart.
                os.utime(path, ns=(moment := time.time_ns(), moment))
                return self._hold(path)
            except FileNotFoundError:
                continue  # Another process needed the room.

    def holds(self, blob: Blob) -> bool:
        """Whether the file is there.

        Raises:
            StorageError: ``store_away`` (retryable).
        """
        with answering():
            return bool(self._fs.exists(f"{self._root}/{blob.address}"))

    def remove(self, blob: Blob) -> None:
        """Forget a file that nothing refers to any more.

        Raises:
            StorageError: ``store_away`` (retryable).
        """
        (self._local / blob.address).unlink(missing_ok=True)
        if not self._is_local:
            with answering(), contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(f"{self._root}/{blob.address}")

    def idle(self, idle_s: float) -> Iterator[tuple[str, int]]:
        """Address and size of every file that was not stored or found for ``idle_s`` seconds.

        Raises:
            StorageError: ``store_away`` (retryable).
        """
        with answering():
            listing = self._fs.find(f"{self._root}/blobs", detail=True)
        before = time.time() - idle_s
        for path, facts in listing.items():
            if last_used(facts) < before:
                yield path[path.rindex("/blobs/") + 1 :], int(facts["size"])

    def discard(self, addresses: Iterable[str], idle_s: float) -> list[str]:
        """Remove files by their addresses, but for those that were stored or found meanwhile; returns which went.

        A key that names one counts as not there from then on.
        """
        gone = []
        for address in addresses:
            with answering(), contextlib.suppress(FileNotFoundError):
                path = f"{self._root}/{address}"
                self._fs.invalidate_cache(path)
                if last_used(self._fs.info(path)) < time.time() - idle_s:
                    self._fs.rm_file(path)
                    gone.append(address)
                    if not self._is_local:
                        (self._local / address).unlink(missing_ok=True)
        return gone

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A temporary folder on the store's own file system, gone afterwards.

        Raises:
            StorageError: ``disk_full`` also where what failed within did not know why.
        """
        with storage_errors("a temporary folder"):
            folder = Path(tempfile.mkdtemp(dir=self._local / "tmp"))
        holding = _holding.set(folder)
        try:
            yield folder
        except (CounterdubError, OSError):
            raise
        except Exception as error:
            if full(folder):
                raise storage_error(OSError(errno.ENOSPC, ""), "a temporary file") from error
            raise
        finally:
            _holding.reset(holding)
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self, idle_s: float = 0.0) -> None:
        """Remove what killed runs left in the temporary folder.

        Args:
            idle_s: Only what was not touched for so long; 0 only while no other run uses the store.
        """
        for left in (self._local / "tmp").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if idle_s and time.time() - left.stat().st_mtime < idle_s:
                    continue
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()

    def _download(self, blob: Blob) -> None:
        with self.workspace() as folder, storage_errors("a local copy"):
            partial = folder / "copy"
            try:
                with answering():
                    self._fs.get_file(f"{self._root}/{blob.address}", str(partial))
            except FileNotFoundError as error:
                lost = error
            else:
                self._keep(partial, blob)
                return
        raise lost

    def _keep(self, source: Path, blob: Blob) -> None:
        """Make a file a local copy. One that lies on another file system stays where it is."""
        path = self._local / blob.address
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.chmod(0o444)
            source.replace(path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        self._untrimmed += blob.size
        if self._untrimmed > self._cache_bytes / 20:
            self._trim(path)

    def _hold(self, path: Path) -> Path:
        """The copy under a second name that only this task knows, so that nobody takes it away."""
        folder = _holding.get()
        if folder is None:
            return path
        held = folder / "held" / path.name
        held.parent.mkdir(exist_ok=True)
        if not held.exists():
            try:
                os.link(path, held)
            except FileNotFoundError:
                raise
            except OSError:
                shutil.copyfile(path, held)  # No links on this file system.
        return held

    def _trim(self, newest: Path) -> None:
        """Remove the copies that were used longest ago, beyond the bound, but none that a task holds."""
        self._untrimmed = 0
        copies = []
        for path in (self._local / "blobs").glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                copies.append((path.stat(), path))
        excess = sum(stat.st_size for stat, _ in copies) - self._cache_bytes
        for stat, path in sorted(copies, key=lambda copy: copy[0].st_mtime_ns):
            if excess <= 0:
                break
            if stat.st_nlink == 1 and path != newest:
                path.unlink(missing_ok=True)
                excess -= stat.st_size

    def _place(self, source: Path, target: Path, move: bool) -> None:
        if target.exists() and target.stat().st_size == source.stat().st_size:
            touch(target)
            if move:
                source.unlink()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if not move:
            copy = Path(tempfile.mkdtemp(dir=self._local / "tmp")) / "copy"
            shutil.copyfile(source, copy)
            copy.replace(target)
            copy.parent.rmdir()
        else:
            with source.open("rb") as file:
                os.fsync(file.fileno())
            source.chmod(0o444)
            source.replace(target)

    def _write(self, address: str, body: bytes) -> None:
        if not self._is_local:
            with answering(), self._fs.open(f"{self._root}/{address}", "wb") as file:
                file.write(body)
            return
        target = Path(self._root) / address
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=self._local / "tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(body)  # Not synced: a key that a power cut truncates counts as not there.
        Path(partial).replace(target)


def last_used(facts: Mapping[str, Any]) -> float:
    """When a file was stored or found (Unix time), as its file system says; now where that says nothing."""
    used = facts.get("mtime", facts.get("LastModified", facts.get("created")))
    return float(used.timestamp()) if hasattr(used, "timestamp") else float(used or time.time())


def touch(path: Path) -> None:
    """Used now: no sweep takes it before it is booked."""
    with contextlib.suppress(PermissionError):  # Another user's; it is as old as it is.
        os.utime(path)


def fetched(store: Store, blob: Blob, what: str) -> Path:
    """:meth:`Store.fetch` of a file that work cannot do without.

    Args:
        what: Whose file it is, for people.

    Raises:
        StorageError: ``artifact_lost``, and what :meth:`Store.fetch` raises.
    """
    with contextlib.suppress(FileNotFoundError):
        if (path := store.fetch(blob)).exists():
            return path
    message = (
        f"{blob.name} of {what} is no longer in the artifact store. Try again from the beginning: it is made anew."
    )
    raise StorageError(message, code="artifact_lost")
