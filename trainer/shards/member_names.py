"""Names of members, and digests of what they are made from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from shared.core.errors import InputError
from trainer.shards.encoding import SHORT_SIDE, X264
from trainer.shards.records import FORMAT, ShotPlan, digest_of

LONGEST = 56
"""Characters of a title in a key: with shot and track a name stays within USTAR's 100."""

ENDS = 2**16
"""Bytes at both ends of a file that its digest looks at, beside the size."""

TRACK = re.compile(r"[A-Za-z0-9-]{1,16}")


def key_of(title: str, shot: int) -> str:
    """Name of a shot's members up to the first dot: ASCII, without dots, unique to title and shot."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", title)[:LONGEST]
    if plain != title:
        plain = f"{plain}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"
    return f"{plain}_{shot:04d}"


def with_digest(plan: ShotPlan, files: dict[str, str]) -> ShotPlan:
    """The plan with its digest: what is cut from where, the content of the files, and how members are encoded.

    Args:
        files: Digest by path.
    """
    facts = plan.model_dump(exclude={"key", "digest", "picture", "sounds"})
    sources = [files[plan.picture], {name: [files[s.path], s.stream, s.language] for name, s in plan.sounds.items()}]
    return plan.model_copy(update={"digest": digest_of(FORMAT, SHORT_SIDE, X264, facts, sources)})


def file_digest(path: Path) -> str:
    """Tells one content from another without reading it all: FLAC says its own hash, others size and both ends.

    Raises:
        InputError: ``unreadable``.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(ENDS)
            if head[:4] == b"fLaC" and any(head[26:42]):
                return head[8:42].hex()
            file.seek(max(0, size - ENDS))
            return digest_of(size, hashlib.sha256(head + file.read()).hexdigest())
    except OSError as error:
        raise InputError(f"“{path.name}” cannot be read: {error.strerror}.", code="unreadable") from error
