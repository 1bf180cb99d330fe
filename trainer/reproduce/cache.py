"""What was made once is found again: by a hash of all that it depends on, the code too."""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from shared.core.storage_errors import storage_errors

TRAINER = (
    "model.py",
    "feed.py",
    "towers/tiny.py",
    "towers/tower.py",
    "objective",
    "frontend",
    "training",
    "data/sampler.py",
    "data/tracks.py",
    "reproduce/feed.py",
)
"""What decides a training, beside its recipe and its world."""


def key_of(*parts: Any, code: tuple[str, ...] = ()) -> str:
    """Of JSON-able parts and of source files or folders of the trainer, their comments and layout aside."""
    hashed = hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode())
    root = Path(str(resources.files("trainer")))
    for name in code:
        files = sorted((root / name).rglob("*.py")) if (root / name).is_dir() else [root / name]
        for file in files:
            hashed.update(ast.dump(ast.parse(file.read_bytes())).encode())
    return hashed.hexdigest()[:16]


def digest_of_files(folder: Path) -> str:
    """Of names and contents of all files in a folder."""
    hashed = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        hashed.update(file.relative_to(folder).as_posix().encode())
        hashed.update(hashlib.sha256(file.read_bytes()).digest())
    return hashed.hexdigest()


def made(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that ``make`` fills: whole or not at all, and not again.

    Raises:
        StorageError: ``disk_full``, ``not_writable``.
    """
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        with storage_errors("the miniature"):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            make(part)
            part.rename(folder)
    return folder
