"""What a shard is made from, and what its sidecar says."""

from __future__ import annotations

import hashlib
import json

from pydantic import Field

from shared.core.records import Record

FORMAT = 1
"""Version of the shards' layout; raised when members change their meaning."""

FPS = 25
"""Frames a second of every picture (paper, Pretraining data)."""

BACKGROUND = "background"
"""Name of the speech-free sound among a shot's tracks."""


class SoundSource(Record):
    """Where one track of a shot comes from."""

    path: str
    stream: int | None = Field(None, description="Index of the container's stream; None: a 48 kHz sound file.")
    language: str | None = Field(None, description="Spoken on the track, ISO 639-1.")


class ShotPlan(Record):
    """One shot that belongs into a shard."""

    key: str = Field(description="Name of the members up to their first dot.")
    title: str
    shot: int
    start: float = Field(description="Seconds on the clock of its sounds.")
    end: float | None = Field(description="None: the end of the file.")
    source_language: str | None = None
    picture: str = Field(description="File that holds the picture.")
    picture_start: float = Field(description="Where the shot begins in that file, seconds on its clock.")
    sounds: dict[str, SoundSource] = Field(description="By track; orig is there.")
    facts: dict[str, dict[str, float | int | None]] = Field({}, description="Measures of the tracks, by track.")
    digest: str = Field("", description="Of all that the members are made from.")


class MemberRecord(Record):
    """One file in a shard."""

    name: str = Field(description="Extension: mp4, json, or <track>.flac.")
    offset: int = Field(description="Of the first byte of its content in the tar.")
    size: int


class ShotRecord(Record):
    """One shot in a shard."""

    key: str
    title: str
    shot: int
    digest: str
    frames: int = Field(description="Pictures, at 25 a second.")
    samples: int = Field(description="Of every track, at 48 kHz.")
    members: list[MemberRecord]
    left_out: dict[str, str] = Field({}, description="Tracks that could not be read or are silent: why.")


class Skipped(Record):
    """A shot that could not be put into the shard."""

    key: str
    digest: str
    reason: str = Field(description="Error code.")


class ShardRecord(Record):
    """``shard-000000.json``, the sidecar: written last, so a shard without one is not finished."""

    format: int = FORMAT
    shard: int
    bytes: int
    sha256: str
    shots: list[ShotRecord]
    skipped: list[Skipped] = Field([], description="Shots that could not be put into it.")


def digest_of(*parts: object) -> str:
    """sha256 of JSON-able facts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def stable_hash(text: str) -> int:
    """63 bits that stay the same on every machine and version, such as for holding titles out."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
