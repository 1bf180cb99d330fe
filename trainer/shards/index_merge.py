"""Sidecars joined into the index, one shard in memory at a time beside the columns themselves."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shared.core.errors import InputError
from shared.core.records import SAMPLE_RATE
from shared.core.storage_errors import storage_errors
from trainer.shards.index import FACTS, MEMBER_COLUMNS, MOST_TRACKS, PICTURE, SHOT_COLUMNS
from trainer.shards.records import FORMAT, ShardRecord, digest_of, stable_hash
from trainer.shards.tar import shard_path, sidecar_path

Columns = dict[str, np.ndarray]


def write_index(folder: Path) -> str:
    """Join the sidecars of a folder into its index; returns the index's digest.

    The columns lie in a folder named after it, so that a reader never meets half of two indices.

    Raises:
        InputError: ``too_many_tracks``.
        StorageError: as :func:`shared.core.storage_errors.storage_error`.
    """
    head, columns, titles = join(sidecars(folder))
    with storage_errors("the index"):
        place = folder / head["columns"]
        place.mkdir(exist_ok=True)
        for name, column in columns.items():
            np.save(place / f"{name}.npy", column)
        (place / "titles.txt").write_text("".join(f"{title}\n" for title in titles), encoding="utf-8")
        half = folder / "index.json.half"
        half.write_text(json.dumps(head, ensure_ascii=False, indent=1), encoding="utf-8")
        half.replace(folder / "index.json")
        for old in folder.glob("index-*"):
            if old != place and old.is_dir():
                shutil.rmtree(old)
    return str(head["digest"])


def sidecars(folder: Path) -> Iterator[ShardRecord]:
    """Those of finished shards, in order. One that cannot be read, or whose tar has another size, is not finished."""
    for path in sorted(folder.glob("shard-*.json")):
        try:
            record = ShardRecord.model_validate_json(path.read_bytes())
            whole = shard_path(folder, record.shard).stat().st_size == record.bytes
        except (OSError, ValueError):
            continue
        if whole and record.format == FORMAT and path == sidecar_path(folder, record.shard):
            yield record


def join(records: Iterable[ShardRecord]) -> tuple[dict[str, Any], Columns, list[str]]:
    """Head, columns and names of the titles."""
    titles: dict[str, int] = {}
    names = {PICTURE: 0, FACTS: 1}
    parts: list[Columns] = []
    shards: dict[str, dict[str, Any]] = {}
    skipped: Counter[str] = Counter()
    for record in records:
        shards[shard_path(Path(), record.shard).name] = {"bytes": record.bytes, "sha256": record.sha256}
        skipped.update(shot.reason for shot in record.skipped)
        if record.shots:
            parts.append(columns_of(record, titles, names))
    tracks = sorted((name.removesuffix(".flac") for name in names if name.endswith(".flac")), key=place_of)
    if len(tracks) > MOST_TRACKS:
        raise InputError(f"A set of shards can hold {MOST_TRACKS} different tracks.", code="too_many_tracks")
    columns = put_together(parts, titles, renamed(names, tracks))
    head = {
        "format": FORMAT,
        "digest": (digest := digest_of(FORMAT, sorted(facts["sha256"] for facts in shards.values()))),
        "columns": f"index-{digest[:16]}",
        "tracks": tracks,
        "titles": len(titles),
        "shots": len(columns["title"]),
        "members": len(columns["offset"]),
        "seconds": round(float(columns["samples"].sum(dtype=np.float64)) / SAMPLE_RATE, 3),
        "skipped": dict(sorted(skipped.items())),
        "shards": shards,
    }
    return head, columns, sorted(titles)


def place_of(track: str) -> tuple[int, str]:
    """``orig`` first, then ``control`` and ``background``, then dubs in order of their names."""
    first = ("orig", "control", "background")
    return (first.index(track) if track in first else len(first), track)


def columns_of(record: ShardRecord, titles: dict[str, int], names: dict[str, int]) -> Columns:
    """One shard's part; new titles and members' names are numbered as they come."""
    shots = record.shots
    members = [member for shot in shots for member in shot.members]
    counts = np.array([len(shot.members) for shot in shots])
    return {
        "title": np.array([titles.setdefault(shot.title, len(titles)) for shot in shots], np.uint32),
        "shot": np.array([shot.shot for shot in shots], np.uint32),
        "shard": np.full(len(shots), record.shard, np.uint32),
        "members": counts.astype(np.uint8),
        "frames": np.array([shot.frames for shot in shots], np.uint32),
        "samples": np.array([shot.samples for shot in shots], np.uint32),
        "shot_hash": np.array([stable_hash(f"{shot.title}\0{shot.shot}") for shot in shots], np.uint64),
        "offset": np.array([member.offset for member in members], np.uint64),
        "size": np.array([member.size for member in members], np.uint32),
        "name": np.array([names.setdefault(member.name, len(names)) for member in members], np.uint16),
    }


def renamed(names: dict[str, int], tracks: list[str]) -> np.ndarray:
    """``[names]``: number in the index by number in order of appearance."""
    final = {PICTURE: 0, FACTS: 1, **{f"{track}.flac": 2 + number for number, track in enumerate(tracks)}}
    return np.array([final[name] for name in names], np.uint16)


def put_together(parts: list[Columns], titles: dict[str, int], numbers: np.ndarray) -> Columns:
    """All shards' columns, shots in order of title and shot; members stay in the order of the shards."""
    kinds: dict[str, Any] = {**SHOT_COLUMNS, **MEMBER_COLUMNS}
    columns = {
        name: np.concatenate([part.pop(name) for part in parts]) if parts else np.zeros(0, kinds[name])
        for name in kinds
        if name not in {"first", "tracks"}
    }
    ordered = sorted(titles)
    rank = np.zeros(len(titles), np.uint32)
    rank[[titles[title] for title in ordered]] = np.arange(len(titles))
    columns["title"] = rank[columns["title"]] if len(rank) else columns["title"]
    columns["name"] = numbers[columns["name"]]
    counts = columns["members"].astype(np.uint64)
    columns["first"] = np.cumsum(counts) - counts
    bits = np.where(columns["name"] >= 2, np.uint64(1) << (columns["name"].astype(np.uint64) - np.uint64(2)), 0)
    columns["tracks"] = (
        np.bitwise_or.reduceat(bits.astype(np.uint64), columns["first"].astype(np.int64))
        if len(counts)
        else np.zeros(0, np.uint64)
    )
    order = np.lexsort((columns["shot"], columns["title"]))
    for name in SHOT_COLUMNS:
        columns[name] = columns[name][order]
    columns["title_hash"] = np.array([stable_hash(title) for title in ordered], np.uint64)
    return columns
