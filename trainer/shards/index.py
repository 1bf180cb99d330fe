"""The joined index: one array a column, memory-mapped, so that it opens at once however many shots there are.

``index.json`` names tracks, shards and digest; ``index-<digest>/<column>.npy`` hold one entry a shot, in order of title
and shot, or a member (``offset``, ``size``, ``name``) or a title (``title_hash``, and the names in ``titles.txt``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.core.errors import InputError
from trainer.shards.records import FORMAT

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
    shards: Mapping[str, int]
    """Size of each tar, bytes, by its file's name."""
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
        members = zip(self.name[place].tolist(), self.offset[place].tolist(), self.size[place].tolist(), strict=True)
        return {names[name]: (offset, size) for name, offset, size in members}


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
        shards = {name: facts["bytes"] for name, facts in head["shards"].items()}
        return Index(folder=folder, tracks=tuple(head["tracks"]), digest=head["digest"], shards=shards, **columns)
    except (OSError, ValueError, KeyError, TypeError) as error:
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
