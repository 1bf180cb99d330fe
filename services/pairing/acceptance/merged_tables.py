"""The tables of a whole run: rows of all its titles, appended row group by row group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from shared.schemas.pairs import PairRow, pairs_schema, to_table
from shared.schemas.reasons import Reason

ROW_GROUP = 5000


def failed_row(title: str, error: Mapping[str, Any], track: str | None = None) -> PairRow:
    """The row that stands in ``rejects`` for a title, or one language of it, that failed.

    Args:
        error: As :meth:`shared.core.errors.CounterdubError.to_dict` gives it.
        track: The language that failed; None for the whole title.
    """
    reason = Reason.TRACK_FAILED if track else Reason.TITLE_FAILED
    where = f"{error.get('stage') or 'unknown stage'}: {error.get('code')}: {error.get('message')}"
    return PairRow(title=title, track=track, language=track, reason=reason.value, reasons=[reason.value], detail=where)


def read_rows(paths: Iterable[Path]) -> Iterator[PairRow]:
    """Rows of ``pairs.jsonl`` or ``rejects.jsonl`` files, one after another."""
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield PairRow.model_validate_json(line)


def write_rows(rows: Iterable[PairRow], out: Path) -> int:
    """Write a parquet file, never more than one row group in memory; returns the number of rows."""
    rows = iter(rows)
    count = 0
    with pq.ParquetWriter(out, pairs_schema(), compression="zstd") as writer:
        while part := list(islice(rows, ROW_GROUP)):
            writer.write_table(to_table(part))
            count += len(part)
    return count


def merge_run(
    accepted: Iterable[Path],
    rejected: Iterable[Path],
    pairs: Path,
    rejects: Path,
    failures: Iterable[PairRow] = (),
) -> tuple[int, int]:
    """Write ``pairs.parquet`` and ``rejects.parquet`` of a run.

    Args:
        accepted, rejected: ``pairs.jsonl`` and ``rejects.jsonl`` of each title, in the order wanted.
        pairs, rejects: Where to write.
        failures: Rows of titles and languages that failed (:func:`failed_row`).

    Returns:
        Numbers of accepted and rejected rows.
    """

    def all_rejected() -> Iterator[PairRow]:
        yield from read_rows(rejected)
        yield from failures

    return write_rows(read_rows(accepted), pairs), write_rows(all_rejected(), rejects)
