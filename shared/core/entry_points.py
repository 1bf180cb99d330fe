"""Entry points of all installed packages, read once: a scan opens a file of every package there is."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import cast


@lru_cache
def scanned() -> EntryPoints:
    return cast("EntryPoints", entry_points())


def group(name: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name. Nothing is imported."""
    return {point.name: point for point in scanned().select(group=name)}
