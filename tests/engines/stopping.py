"""A Work that is told to stop: what every stage and engine must survive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shared.core.errors import Cancelled
from tests.unit.services.dubbing.stand_ins import FolderWork


class Stopping(FolderWork):
    """Stops the stage at the report after ``reports`` of them; parts that were asked for until then are counted."""

    def __init__(self, folder: Path, reports: int) -> None:
        super().__init__(folder)
        folder.mkdir(exist_ok=True)
        self.left = reports
        self.parts = 0

    def progress(self, share: float) -> None:
        super().progress(share)
        if self.left == 0:
            raise Cancelled
        self.left -= 1

    def cached(self, key: Mapping[str, Any], suffix: str, make: Callable[[Path], None]) -> Path:
        self.parts += 1
        return super().cached(key, suffix, make)
