"""Rows of a parquet file, a page at a time."""

from __future__ import annotations

import math
from typing import Any

from services.api.http.stored_files import local_copy
from shared.core.store import Store
from shared.ledger.tables import Artifact

PARQUET = "application/vnd.apache.parquet"


def open_table(store: Store, table: Artifact) -> Any:
    """A stored table as a ``pyarrow.parquet.ParquetFile``, to be used as a context manager.

    Raises:
        Refused: ``artifact_lost`` (404).
    """
    import pyarrow.parquet as pq

    return pq.ParquetFile(local_copy(store, table), memory_map=True)


def read_rows(store: Store, table: Artifact, first: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Rows from number ``first`` on as JSON values, and whether there are more.

    Only the row groups that hold them are read.
    """
    with open_table(store, table) as file:
        total = file.metadata.num_rows
        groups: list[int] = []
        skipped, before = first, 0
        for number in range(file.num_row_groups):
            count = file.metadata.row_group(number).num_rows
            if before + count > first and before < first + limit:
                if not groups:
                    skipped = first - before
                groups.append(number)
            before += count
        if not groups:
            return [], False
        rows = file.read_row_groups(groups).slice(skipped, limit).to_pylist(maps_as_pydicts="lossy")
    return [plain(row) for row in rows], first + limit < total


def plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
