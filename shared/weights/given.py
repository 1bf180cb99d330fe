"""Weights that the operator gives as a file or a folder, instead of by a name in the registry."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from shared.core.errors import EngineError


def is_place(model: str) -> bool:
    """Whether a ``model`` setting is a path (``/models/x``, ``./x``, ``~/x``) and not a name."""
    return model.startswith(("/", "./", "../", "~")) or Path(model).is_absolute()


def place(model: str) -> Path:
    """The file or folder that a ``model`` setting names.

    Raises:
        EngineError: ``weights_missing`` when it is not there.
    """
    path = Path(model).expanduser()
    if not path.exists():
        raise EngineError(f"There is no model at the given place (“{path.name}”).", code="weights_missing")
    return path


def digest(path: Path) -> str:
    """sha256 over a file, or over the names and hashes of all files of a folder.

    A file is read once in a process, and again when its size or time changes.
    """
    if path.is_file():
        return _of_file(path)
    combined = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file() and not item.name.startswith(".")):
        combined.update(f"{file.relative_to(path).as_posix()} {_of_file(file)}\n".encode())
    return combined.hexdigest()


def _of_file(path: Path) -> str:
    status = path.stat()
    return _hashed(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _hashed(path: Path, size: int, time: int) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
