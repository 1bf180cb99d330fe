"""Where a training's files lie on the machine that trains, and which of them can go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

KEPT_S = 2 * 24 * 3600.0
"""The folder of a training that failed or was cancelled stays for so long: it may go on."""


class Folders(NamedTuple):
    """Of one training."""

    root: Path

    @property
    def pairs(self) -> Path:
        """The jobs' files, laid out as ``counterdub dub`` does."""
        return self.root / "pairs"

    @property
    def shards(self) -> Path:
        return self.root / "shards"

    @property
    def run(self) -> Path:
        """What ``counterdub train`` writes."""
        return self.root / "run"

    @property
    def sharded(self) -> Path:
        """Is there when the shards are whole."""
        return self.root / "sharded"

    @property
    def lock(self) -> Path:
        """Held by whatever trains here."""
        return self.root / "lock"


def sweep(runs: Path, alive: Container[str]) -> None:
    """Remove the folders of trainings that are no more, once nobody has touched them for some days.

    Args:
        alive: Ids of trainings that are to be done yet.
    """
    for folder in runs.iterdir() if runs.is_dir() else ():
        if folder.name not in alive and time.time() - folder.stat().st_mtime > KEPT_S:
            shutil.rmtree(folder, ignore_errors=True)
