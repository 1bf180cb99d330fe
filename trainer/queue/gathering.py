"""From jobs' files in the store to one output folder that shards are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared.errors import InputError
from shared.pipeline.publish import place
from shared.pipeline.titles import unique_names
from shared.store import Blob, Store, storage_errors

PAIRS = "pairs.parquet"
TITLE = "title.json"
LEFT_OUT = ("subtitles/", "utterances/", "stems/speech.", "stems/vocals")
PATHS = ("clip_path", "track_path", "speech_path", "background_path")
"""Columns of pairs.parquet that hold paths below the output folder."""


def listed(files: Mapping[str, Mapping[str, Blob]]) -> dict[str, Any]:
    """What a training reads, as JSON: for each job its files, and the name that each title has in the training.

    Args:
        files: Job → path in the output layout → blob.

    Raises:
        InputError: ``empty_dataset``: no job has any pairs.
    """
    jobs = {job: paths for job, paths in files.items() if PAIRS in paths}
    titles = [
        (job, path.removesuffix(f"/{TITLE}")) for job, paths in jobs.items() for path in sorted(paths) if is_title(path)
    ]
    if not titles:
        raise InputError("The jobs have no pairs to train on.", code="empty_dataset")
    names = dict(zip(titles, unique_names(title for _, title in titles), strict=True))
    return {
        "jobs": [
            {
                "job": job,
                "titles": {title: new for (of, title), new in names.items() if of == job},
                "files": {path: asdict(blob) for path, blob in sorted(paths.items()) if wanted(path)},
            }
            for job, paths in jobs.items()
        ]
    }


def is_title(path: str) -> bool:
    return path.count("/") == 1 and path.endswith(f"/{TITLE}")


def wanted(path: str) -> bool:
    """Whether shards are made of this file."""
    title, _, rest = path.partition("/")
    return path == PAIRS or bool(rest and title != "training" and not rest.startswith(LEFT_OUT))


def gather(data: Mapping[str, Any], store: Store, out: Path, check: Callable[[], None]) -> None:
    """Lay the files out below ``out``. What is there already is kept.

    Args:
        data: Of :func:`listed`.
        check: Called between files; may raise.

    Raises:
        InputError: ``artifact_lost``.
        StorageError: ``disk_full`` …
    """
    tables = []
    for job in data["jobs"]:
        for path, fields in job["files"].items():
            check()
            blob = Blob(**fields)
            title, _, rest = path.partition("/")
            try:
                if path == PAIRS:
                    tables.append((store.fetch(blob).read_bytes(), job["titles"]))
                elif is_title(path) and job["titles"][title] != title:
                    rename(store.fetch(blob), out / job["titles"][title] / TITLE, job["titles"][title])
                elif title in job["titles"]:
                    place({f"{job['titles'][title]}/{rest}": blob}, store, out)
            except FileNotFoundError as error:
                raise InputError(
                    "A file of the data is no longer in the store: do the job again.", code="artifact_lost"
                ) from error
    join(tables, out / PAIRS)


def rename(source: Path, target: Path, title: str) -> None:
    """A title's record under another name."""
    record = {**json.loads(source.read_text(encoding="utf-8")), "title": title}
    with storage_errors("the data of the training"):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")


def join(tables: list[tuple[bytes, Mapping[str, str]]], target: Path) -> None:
    """All jobs' rows in one table, with the names that the titles have here.

    Raises:
        InputError: ``empty_dataset``: not one row.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    joined = []
    for content, titles in tables:
        table = pq.read_table(pa.BufferReader(content))
        rows = table.column("title").to_pylist()
        columns = {"title": [titles.get(title, title) for title in rows]}
        for name in PATHS:
            paths = table.column(name).to_pylist()
            columns[name] = [moved(path, titles) for path in paths]
        for name, values in columns.items():
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(at), pa.array(values, pa.string()))
        joined.append(table)
    whole = pa.concat_tables(joined)
    if not whole.num_rows:
        raise InputError("The jobs have no accepted pairs to train on.", code="empty_dataset")
    with storage_errors("the data of the training"):
        pq.write_table(whole, target)


def moved(path: str | None, titles: Mapping[str, str]) -> str | None:
    if path is None:
        return None
    title, _, rest = path.partition("/")
    return f"{titles.get(title, title)}/{rest}"
