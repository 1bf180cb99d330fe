"""Rows of a parquet file, a page at a time."""

from __future__ import annotations

import math
from typing import Any

from services.api.http.problems import not_found
from shared.core.store import Blob, Store
from shared.ledger.tables import Artifact

PARQUET = "application/vnd.apache.parquet"


def read_rows(store: Store, table: Artifact, first: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Rows from number ``first`` on as JSON values, and whether there are more.

    Only the row groups that hold them are read.
    """
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(store.fetch(Blob(table.name, table.sha256, table.size)), memory_map=True)
    except FileNotFoundError as error:
        raise not_found("The file is no longer in the store.", "artifact_lost") from error
    with file:
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
        found = file.read_row_groups(groups).slice(skipped, limit).to_pylist(maps_as_pydicts="lossy")
    return [plain(row) for row in found], first + limit < total


def plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
