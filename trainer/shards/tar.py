"""One shard: an uncompressed tar whose bytes depend on its members only, as WebDataset reads it."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from shared.core.storage_errors import storage_error
from trainer.shards.records import MemberRecord, ShardRecord, ShotRecord, Skipped


class Sample(NamedTuple):
    """One shot, encoded."""

    key: str
    title: str
    shot: int
    digest: str
    frames: int
    samples: int
    members: Mapping[str, bytes]
    """Content by extension, in the order of writing: ``mp4``, ``<track>.flac`` …, ``json``."""
    left_out: Mapping[str, str] = {}
    """Tracks that it should have had, and why not."""


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:06d}.tar"


def sidecar_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:06d}.json"


def write_shard(folder: Path, number: int, samples: Iterable[Sample], skipped: Iterable[Skipped] = ()) -> ShardRecord:
    """Write tar and sidecar; each appears whole or not at all, and the sidecar last.

    Args:
        samples: Held one at a time.
        skipped: Read after the samples.

    Raises:
        StorageError: as :func:`shared.core.storage_errors.storage_error`.
    """
    target, sidecar = shard_path(folder, number), sidecar_path(folder, number)
    half = target.with_suffix(".tar.half")
    shots = []
    try:
        with half.open("wb") as raw:
            file = HashingFile(raw)
            # A stream needs no more than write(); tarfile's types ask for a whole file.
            with tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT, bufsize=2**20) as tar:  # type: ignore[call-overload]
                shots = [add(tar, sample) for sample in samples]
            raw.flush()
            os.fsync(raw.fileno())
        record = ShardRecord(
            shard=number, bytes=file.size, sha256=file.digest.hexdigest(), shots=shots, skipped=list(skipped)
        )
        half.replace(target)
        note = sidecar.with_suffix(".json.half")
        note.write_text(record.model_dump_json(), encoding="utf-8")
        note.replace(sidecar)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise storage_error(error, "the shard") from error
    return record


def add(tar: tarfile.TarFile, sample: Sample) -> ShotRecord:
    """Append a sample's members and say where they lie."""
    records = []
    for name, content in sample.members.items():
        header = tarfile.TarInfo(f"{sample.key}.{name}")
        header.size, header.mode = len(content), 0o644
        # A USTAR header is one block, so the content follows 512 bytes behind.
        records.append(MemberRecord(name=name, offset=tar.offset + tarfile.BLOCKSIZE, size=len(content)))
        tar.addfile(header, io.BytesIO(content))
    return ShotRecord(
        key=sample.key,
        title=sample.title,
        shot=sample.shot,
        digest=sample.digest,
        frames=sample.frames,
        samples=sample.samples,
        members=records,
        left_out=dict(sample.left_out),
    )


class HashingFile:
    """A file to write to that knows the hash of what went through it."""

    def __init__(self, file: io.BufferedWriter) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)
