"""Embeddings under the hash of what was embedded and by what: N tasks embed a clip once."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from shared.core.errors import StorageError


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class EmbeddingCache:
    """A SQLite file of arrays by key; ``:memory:`` lasts as long as the object. Use as a context manager.

    Raises:
        StorageError: ``not_writable`` if the file cannot be opened, ``bad_state`` if it is no such database.
    """

    def __init__(self, path: Path | None = None) -> None:
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(":memory:" if path is None else path, timeout=60)
            self._connection.execute("CREATE TABLE IF NOT EXISTS embedding (key TEXT PRIMARY KEY, data BLOB NOT NULL)")
        except sqlite3.DatabaseError as error:
            code = "not_writable" if isinstance(error, sqlite3.OperationalError) else "bad_state"
            raise StorageError(f"The cache of embeddings cannot be used: {error}.", code=code) from error
        except OSError as error:
            raise StorageError(f"The cache cannot be written: {error.strerror}.", code="not_writable") from error

    def get(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """The arrays that are there."""
        arrays: dict[str, np.ndarray] = {}
        for key in keys:
            row = self._connection.execute("SELECT data FROM embedding WHERE key = ?", (key,)).fetchone()
            if row is not None:
                arrays[key] = np.load(io.BytesIO(row[0]), allow_pickle=False)
        return arrays

    def put(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays, all or none."""
        rows = []
        for key, array in arrays.items():
            data = io.BytesIO()
            np.save(data, array, allow_pickle=False)
            rows.append((key, data.getvalue()))
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO embedding VALUES (?, ?)", rows)
        except sqlite3.OperationalError as error:
            code = "disk_full" if "full" in str(error) else "io_error"
            raise StorageError(f"Embeddings cannot be kept: {error}.", code=code, retryable=True) from error

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
