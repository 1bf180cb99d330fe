"""The folder of weights on this machine, and what it takes for a file to be used."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock
from platformdirs import user_cache_path

from shared.core.errors import EngineError
from shared.core.storage_errors import storage_errors
from shared.weights.registry import Entry, WeightFile, catalog, find

BLOCK = 1 << 20
STAMP = ".verified.json"
PULL = "Run `counterdub models pull {name}`."

State = Literal["ok", "missing", "damaged"]


def default_folder() -> Path:
    """``COUNTERDUB_MODELS``, or ``models`` in the user's cache."""
    chosen = os.environ.get("COUNTERDUB_MODELS")
    return Path(chosen).expanduser() if chosen else user_cache_path("counterdub", appauthor=False) / "models"


@dataclass(frozen=True)
class WeightCheck:
    """What a model's files on disk are worth; ``files`` are those that are missing or damaged."""

    name: str
    state: State
    files: tuple[str, ...] = ()


class WrongContent(Exception):
    """What a source gave is not, or does not contain, the file of the registry."""


class WeightFolder:
    """Verified weights under one root, one folder an entry; satisfies :class:`shared.engines.protocols.WeightFiles`.

    Args:
        root: The folder; :func:`default_folder` when absent.
        entries: The registry; :func:`shared.weights.catalog` when absent.
    """

    def __init__(self, root: Path | None = None, entries: Mapping[str, Entry] | None = None) -> None:
        self.root = root or default_folder()
        self.entries = catalog() if entries is None else entries
        self._trusted: set[str] = set()
        self._lock = threading.Lock()

    def path(self, name: str) -> Path:
        """Folder with the files of an entry.

        Sizes and times are compared with the record of the last full verification; where there is none, or a file
        was touched since, the files are hashed once.

        Raises:
            UsageError: ``unknown_model``.
            EngineError: ``weights_missing`` or ``weights_damaged``, saying how to get the files.
        """
        entry = find(name, self.entries)
        with self._lock:
            if name not in self._trusted and not self.stamped(entry):
                check = self.check(entry)
                if check.state != "ok":
                    raise _unusable(entry, check)
            self._trusted.add(name)
        return self.root / name

    def digest(self, name: str) -> str:
        """sha256 over the hashes of an entry's files; nothing is read from disk."""
        return find(name, self.entries).digest

    def check(self, entry: Entry) -> WeightCheck:
        """Hash every file of an entry, and remember it when all fit."""
        folder = self.root / entry.name
        absent = [file.path for file in entry.files if not (folder / file.path).is_file()]
        if absent:
            return WeightCheck(entry.name, "missing", tuple(absent))
        bad = [file.path for file in entry.files if not fits(folder / file.path, file)]
        if bad:
            return WeightCheck(entry.name, "damaged", tuple(bad))
        self.stamp(entry)
        return WeightCheck(entry.name, "ok")

    def stamp(self, entry: Entry) -> None:
        """Record that the files were verified. A folder that cannot be written is hashed in every process instead."""
        target = self.root / entry.name / STAMP
        record = {"digest": entry.digest, "files": self._marks(entry)}
        temporary = target.with_name(f"{STAMP}.{os.getpid()}-{threading.get_ident()}")
        try:
            temporary.write_text(json.dumps(record), encoding="utf-8")
            temporary.replace(target)
        except OSError:
            temporary.unlink(missing_ok=True)

    def stamped(self, entry: Entry) -> bool:
        """Whether the files are as they were when they were last verified."""
        try:
            record = json.loads((self.root / entry.name / STAMP).read_text(encoding="utf-8"))
            return bool(record == {"digest": entry.digest, "files": self._marks(entry)})
        except (OSError, ValueError):
            return False

    def place(self, entry: Entry, file: WeightFile, blocks: Iterable[bytes]) -> None:
        """Write a file next to its place while hashing it, then move it there.

        Raises:
            WrongContent: The content is not that of the registry; nothing is kept.
            StorageError: ``disk_full``, ``not_writable``.
        """
        target = self.root / entry.name / file.path
        temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
        hashed = hashlib.sha256()
        size = 0
        with storage_errors("model weights"):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as out:
                    for block in blocks:
                        size += len(block)
                        if size > file.size:
                            break
                        hashed.update(block)
                        out.write(block)
                if size != file.size or hashed.hexdigest() != file.sha256:
                    raise WrongContent(f"{file.path} is not the file of the registry (sha256 differs)")
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    def lock(self, entry: Entry) -> FileLock:
        """Held while an entry is being fetched, across processes."""
        with storage_errors("model weights"):
            self.root.mkdir(parents=True, exist_ok=True)
        return FileLock(self.root / f".{entry.name}.lock")

    def _marks(self, entry: Entry) -> dict[str, list[int]]:
        marks = {}
        for file in entry.files:
            status = (self.root / entry.name / file.path).stat()
            # Whole seconds: archives and image layers keep no more.
            marks[file.path] = [status.st_size, int(status.st_mtime)]
        return marks


def fits(path: Path, file: WeightFile) -> bool:
    """Whether a file on disk has the size and sha256 of the registry."""
    try:
        if path.stat().st_size != file.size:
            return False
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


def _unusable(entry: Entry, check: WeightCheck) -> EngineError:
    listed = ", ".join(check.files[:3]) + (" …" if len(check.files) > 3 else "")
    if check.state == "missing":
        text = f"The weights of {entry.title} are not on this machine (missing: {listed})."
    else:
        text = f"The weights of {entry.title} are damaged ({listed})."
    return EngineError(f"{text} {PULL.format(name=entry.name)}", code=f"weights_{check.state}", model=entry.name)
