"""Bytes of a shot's members, by ``pread`` where the index says."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

from shared.core.errors import InputError
from trainer.shards.tar import shard_path

HEADER = 512

MOST_OPEN = 128
"""Shards that a process keeps open: below the usual limit of file descriptors."""


class Members:
    """Reads members of shards; keeps the last files open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[int, int] = OrderedDict()

    def read(self, shard: int, offset: int, size: int) -> bytes:
        """Content of one member.

        Raises:
            InputError: ``bad_shard`` when the tar is missing, ends early or has no such member there.
        """
        try:
            block = os.pread(self._descriptor(shard), size + HEADER, offset - HEADER)
        except OSError as error:
            raise InputError(f"Shard {shard} cannot be read: {error.strerror}.", code="bad_shard") from error
        header = block[:HEADER]
        if len(block) != size + HEADER or header[257:262] != b"ustar" or header[124:135] != b"%011o" % size:
            raise InputError(f"Shard {shard} is damaged, or not the one of the index.", code="bad_shard")
        return block[HEADER:]

    def _descriptor(self, shard: int) -> int:
        if shard in self._open:
            self._open.move_to_end(shard)
        else:
            if len(self._open) >= MOST_OPEN:
                os.close(self._open.popitem(last=False)[1])
            self._open[shard] = os.open(shard_path(self._folder, shard), os.O_RDONLY)
        return self._open[shard]

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])
