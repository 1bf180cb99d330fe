"""From jobs' files in the store to one output folder that shards are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared.core.errors import InputError
from shared.core.storage_errors import storage_errors
from shared.core.store import Blob, Store
from shared.pipeline.publish import place
from shared.pipeline.title_names import unique_names

PAIRS = "pairs.parquet"
PATHS = ("clip_path", "track_path", "speech_path", "background_path")
"""Columns that hold paths below the output folder."""
READ = ("title", "shot", "clip_path", "track_path", "background_path")


def listed(files: Mapping[str, Mapping[str, Blob]], store: Store) -> dict[str, Any]:
    """What a training reads, as JSON: of each job the table, the files that it needs, and its titles' names here.

    Args:
        files: Job → path in the output layout → blob.

    Raises:
        InputError: ``empty_dataset``: no job has any pairs.
    """
    jobs: dict[str, list[dict[str, Any]]] = {}
    for job, paths in files.items():
        if PAIRS in paths and (rows := read_rows(store.fetch(paths[PAIRS]))):
            jobs[job] = rows
    if not jobs:
        raise InputError("The jobs have no accepted pairs to train on.", code="empty_dataset")
    titles = [(job, title) for job, rows in jobs.items() for title in dict.fromkeys(row["title"] for row in rows)]
    names = dict(zip(titles, unique_names(title for _, title in titles), strict=True))
    return {
        "jobs": [
            {
                "job": job,
                "pairs": asdict(files[job][PAIRS]),
                "titles": {title: new for (of, title), new in names.items() if of == job},
                "files": {path: asdict(files[job][path]) for path in sorted(set(needed(rows, files[job])))},
            }
            for job, rows in jobs.items()
        ]
    }


def read_rows(table: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(table, columns=list(READ)).to_pylist()
    return rows


def needed(rows: list[dict[str, Any]], there: Mapping[str, Blob]) -> Iterator[str]:
    """Tracks and background of every shot, and its picture once: any clip of it, or the title's whole video."""
    pictured = set()
    for row in rows:
        yield from (path for path in (row["track_path"], row["background_path"]) if path in there)
        shot = row["title"], row["shot"]
        if shot not in pictured and row["clip_path"] in there:
            pictured.add(shot)
            yield row["clip_path"]
    for title in {row["title"] for row in rows if (row["title"], row["shot"]) not in pictured}:
        whole = (f"{title}/{title}{suffix}" for suffix in (".mkv", ".mp4"))
        yield from [path for path in whole if path in there][:1]


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
    try:
        for job in data["jobs"]:
            tables.append((store.fetch(Blob(**job["pairs"])).read_bytes(), job["titles"]))
            for path, fields in job["files"].items():
                check()
                place({moved(path, job["titles"]): Blob(**fields)}, store, out)
    except FileNotFoundError as error:
        raise InputError(
            "A file of the data is no longer in the store: do the job again.", code="artifact_lost"
        ) from error
    join(tables, out / PAIRS)


def join(tables: list[tuple[bytes, Mapping[str, str]]], target: Path) -> None:
    """All jobs' rows in one table, with the names that the titles have here."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    joined = []
    for content, titles in tables:
        table = pq.read_table(pa.BufferReader(content))
        columns = {"title": [titles[title] for title in table.column("title").to_pylist()]}
        for name in PATHS:
            columns[name] = [path and moved(path, titles) for path in table.column(name).to_pylist()]
        for name, values in columns.items():
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(at), pa.array(values, pa.string()))
        joined.append(table)
    with storage_errors("the data of the training"):
        pq.write_table(pa.concat_tables(joined), target)


def moved(path: str, titles: Mapping[str, str]) -> str:
    """A path with the title's name here."""
    title, _, rest = path.partition("/")
    new = titles[title]
    whole = rest.removeprefix(title)
    return f"{new}/{new}{whole}" if whole in (".mkv", ".mp4") else f"{new}/{rest}"
