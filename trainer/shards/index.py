"""The joined index: one array a column, memory-mapped, so that it opens at once however many shots there are.

``index.json`` names titles' file, tracks, shards and digest; ``index/<column>.npy`` hold one entry a shot, in order of
title and shot, or a member (``offset``, ``size``, ``name``) or a title (``title_hash``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.errors import InputError
from shared.store import storage_error
from trainer.shards.records import FORMAT, ShardRecord, digest_of, stable_hash

PICTURE, FACTS = "mp4", "json"

MOST_TRACKS = 64
"""Tracks that a shard set can hold: one bit each."""

SHOT_COLUMNS = {
    "title": np.uint32,
    "shot": np.uint32,
    "shard": np.uint32,
    "first": np.uint64,
    "members": np.uint8,
    "frames": np.uint32,
    "samples": np.uint32,
    "tracks": np.uint64,
    "shot_hash": np.uint64,
}
MEMBER_COLUMNS = {"offset": np.uint64, "size": np.uint32, "name": np.uint16}


class Index(NamedTuple):
    """Memory-mapped columns. ``N`` shots, ``M`` members, ``K`` titles."""

    folder: Path
    tracks: tuple[str, ...]
    """Names of the tracks; bit ``i`` of ``track_bits`` says whether a shot has the i-th."""
    digest: str
    """Of the content of all shards."""
    title: np.ndarray
    """uint32 ``[N]``, not decreasing."""
    shot: np.ndarray
    """uint32 ``[N]``, number within the title."""
    shard: np.ndarray
    first: np.ndarray
    """uint64 ``[N]``, the shot's first row among the members."""
    members: np.ndarray
    """uint8 ``[N]``, how many members."""
    frames: np.ndarray
    """uint32 ``[N]``, at 25 a second."""
    samples: np.ndarray
    """uint32 ``[N]``, at 48 kHz."""
    track_bits: np.ndarray
    """uint64 ``[N]``."""
    shot_hash: np.ndarray
    """uint64 ``[N]``, stable whatever else is in the data."""
    offset: np.ndarray
    """uint64 ``[M]``, in the tar."""
    size: np.ndarray
    """uint32 ``[M]``."""
    name: np.ndarray
    """uint16 ``[M]``: 0 the picture, 1 the facts, 2 + i the i-th track."""
    title_hash: np.ndarray
    """uint64 ``[K]``."""

    def __len__(self) -> int:
        return len(self.title)

    def locate(self, row: int) -> dict[str, tuple[int, int]]:
        """Offset and size of a shot's members, by ``mp4``, ``json`` or the track's name."""
        first = int(self.first[row])
        place = slice(first, first + int(self.members[row]))
        names = (PICTURE, FACTS, *self.tracks)
        found = zip(self.name[place].tolist(), self.offset[place].tolist(), self.size[place].tolist(), strict=True)
        return {names[name]: (offset, size) for name, offset, size in found}


def open_index(folder: Path) -> Index:
    """Open the index of a folder of shards.

    Raises:
        InputError: ``no_index`` when there is none or it is of another version, ``bad_index`` when it is damaged.
    """
    try:
        head = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"“{folder.name}” holds no index of shards. Make them with counterdub shards … --to {folder.name}.",
            code="no_index",
        ) from error
    except (OSError, ValueError) as error:
        raise damaged(folder) from error
    if head.get("format") != FORMAT:
        raise InputError(
            f"The shards of “{folder.name}” are of format {head.get('format')}, not {FORMAT}. Make them again.",
            code="no_index",
        )
    try:
        columns = {name: np.load(folder / head["columns"] / f"{name}.npy", mmap_mode="r") for name in column_names()}
        columns["track_bits"] = columns.pop("tracks")
        shots, members = {len(columns[name]) for name in per_shot()}, {len(columns[name]) for name in MEMBER_COLUMNS}
        if shots != {head["shots"]} or members != {head["members"]} or len(columns["title_hash"]) != head["titles"]:
            raise ValueError("columns of other lengths")
        return Index(folder=folder, tracks=tuple(head["tracks"]), digest=head["digest"], **columns)
    except (OSError, ValueError, KeyError) as error:
        raise damaged(folder) from error


def damaged(folder: Path) -> InputError:
    return InputError(
        f"The index of “{folder.name}” is damaged. Delete index.json and run counterdub shards again; "
        "whole shards are kept.",
        code="bad_index",
    )


def per_shot() -> list[str]:
    return ["track_bits" if name == "tracks" else name for name in SHOT_COLUMNS]


def column_names() -> list[str]:
    return [*SHOT_COLUMNS, *MEMBER_COLUMNS, "title_hash"]


def write_index(folder: Path, records: Sequence[ShardRecord]) -> str:
    """Join the sidecars into the index of their folder; returns its digest.

    The columns lie in a folder of their own name, so that a reader never meets half of two indices.

    Raises:
        InputError: ``too_many_tracks``.
        StorageError: as :func:`shared.store.storage_error`.
    """
    tracks = track_names(records)
    titles = sorted({shot.title for record in records for shot in record.shots})
    digest = digest_of(FORMAT, sorted((record.shard, record.sha256) for record in records))
    columns = joined(records, titles, tracks)
    head = {
        "format": FORMAT,
        "digest": digest,
        "columns": f"index-{digest[:16]}",
        "tracks": tracks,
        "titles": len(titles),
        "shots": len(columns["title"]),
        "members": len(columns["offset"]),
        "seconds": round(float(columns["samples"].sum(dtype=np.float64)) / 48_000, 3),
        "shards": {f"shard-{record.shard:06d}.tar": record.sha256 for record in records},
        "skipped": reasons(records),
    }
    try:
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
    except OSError as error:
        raise storage_error(error, "the index") from error
    return digest


def reasons(records: Iterable[ShardRecord]) -> dict[str, int]:
    """How many shots were left out, by reason."""
    counts: dict[str, int] = {}
    for record in records:
        for skipped in record.skipped:
            counts[skipped.reason] = counts.get(skipped.reason, 0) + 1
    return dict(sorted(counts.items()))


def track_names(records: Sequence[ShardRecord]) -> list[str]:
    """``orig`` first, then ``control`` and ``background``, then dubs in order of their names."""
    found = {
        member.name.removesuffix(".flac")
        for record in records
        for shot in record.shots
        for member in shot.members
        if member.name.endswith(".flac")
    }
    first = [name for name in ("orig", "control", "background") if name in found]
    tracks = [*first, *sorted(found - set(first))]
    if len(tracks) > MOST_TRACKS:
        raise InputError(f"A set of shards can hold {MOST_TRACKS} different tracks.", code="too_many_tracks")
    return tracks


def joined(records: Sequence[ShardRecord], titles: list[str], tracks: list[str]) -> dict[str, np.ndarray]:
    numbers = {title: number for number, title in enumerate(titles)}
    codes = {PICTURE: 0, FACTS: 1, **{f"{track}.flac": 2 + number for number, track in enumerate(tracks)}}
    places = [(numbers[shot.title], shot.shot, record.shard, shot) for record in records for shot in record.shots]
    places.sort(key=lambda place: place[:3])
    shots: dict[str, list[int]] = {name: [] for name in SHOT_COLUMNS}
    members: dict[str, list[int]] = {name: [] for name in MEMBER_COLUMNS}
    for title, number, shard, shot in places:
        bits = 0
        first = len(members["name"])
        for member in shot.members:
            code = codes[member.name]
            bits |= 1 << (code - 2) if code >= 2 else 0
            for name, value in zip(MEMBER_COLUMNS, (member.offset, member.size, code), strict=True):
                members[name].append(value)
        unique = stable_hash(f"{shot.title}\0{shot.shot}")
        row = (title, number, shard, first, len(shot.members), shot.frames, shot.samples, bits, unique)
        for name, value in zip(SHOT_COLUMNS, row, strict=True):
            shots[name].append(value)
    kinds: dict[str, Any] = {**SHOT_COLUMNS, **MEMBER_COLUMNS}
    columns = {name: np.array(values, kinds[name]) for name, values in {**shots, **members}.items()}
    columns["title_hash"] = np.array([stable_hash(title) for title in titles], np.uint64)
    return columns


def read_sidecars(folder: Path) -> list[ShardRecord]:
    """Sidecars of the finished shards, in order; one that cannot be read does not count as finished."""
    found = []
    for path in sorted(folder.glob("shard-*.json")):
        try:
            record = ShardRecord.model_validate_json(path.read_bytes())
            whole = (folder / f"shard-{record.shard:06d}.tar").stat().st_size == record.bytes
        except (OSError, ValueError):
            continue
        if whole and record.format == FORMAT and os.path.splitext(path.name)[0] == f"shard-{record.shard:06d}":  # noqa: PTH122
            found.append(record)
    return found
