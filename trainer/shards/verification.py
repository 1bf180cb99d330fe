"""Whether shards are what their index says, byte for byte."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shared.core.errors import InputError
from trainer.shards.index import Index, open_index
from trainer.shards.index_merge import join, sidecars
from trainer.shards.records import ShardRecord
from trainer.shards.tar import shard_path

BLOCK = 2**20


class Checked(NamedTuple):
    """The verdict on a folder."""

    shards: int
    shots: int
    problems: dict[str, str]
    """Shard or ``index`` → what is wrong."""


def verify(folder: Path, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Checked:
    """Hash every tar, compare its members with its sidecar, and sidecars with the index.

    Raises:
        InputError: ``no_index``, ``bad_index``.
    """
    index = open_index(folder)
    head = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    problems: dict[str, str] = {}
    records = {record.shard: record for record in sidecars(folder)}
    for done, (name, facts) in enumerate(head["shards"].items()):
        progress(done, len(head["shards"]))
        record = records.get(int(name[6:12]))
        wrong = shard_problem(folder, record, facts["sha256"])
        if wrong:
            problems[name] = wrong
    progress(len(head["shards"]), len(head["shards"]))
    problems.update(
        {
            shard_path(folder, number).name: "not in the index"
            for number in records
            if shard_path(folder, number).name not in head["shards"]
        }
    )
    if not problems and (wrong := index_problem(index, list(records.values()))):
        problems["index"] = wrong
    return Checked(len(head["shards"]), len(index), problems)


def shard_problem(folder: Path, record: ShardRecord | None, sha256: str) -> str | None:
    """What is wrong with a shard, if anything."""
    if record is None:
        return "missing, or of another size than its sidecar says"
    if record.sha256 != sha256:
        return "not the one of the index"
    path = shard_path(folder, record.shard)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
            return "damaged: its sha256 is another"
    expected = {f"{shot.key}.{m.name}": (m.offset, m.size) for shot in record.shots for m in shot.members}
    with tarfile.open(path) as tar:
        members = {member.name: (member.offset_data, member.size) for member in tar}
    return None if members == expected else "its members are not where the sidecar says"


def index_problem(index: Index, records: list[ShardRecord]) -> str | None:
    try:
        _, columns, _ = join(records)
    except InputError as error:
        return error.message
    columns["track_bits"] = columns.pop("tracks")
    for name, column in columns.items():
        if not (getattr(index, name) == column).all():
            return f"its column {name} is not that of the sidecars"
    return None
