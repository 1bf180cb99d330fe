"""Inputs that come chunk by chunk (``background/0000``, ``background/0001``, …)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def in_order(inputs: Mapping[str, Path], prefix: str) -> list[Path]:
    """Files named ``<prefix>/NNNN``, in order of their numbers."""
    names = [name for name in inputs if name.startswith(prefix + "/") and name[len(prefix) + 1 :].isdigit()]
    return [inputs[name] for name in sorted(names, key=lambda name: int(name[len(prefix) + 1 :]))]


def tracks_of(inputs: Mapping[str, Path], prefix: str) -> list[str]:
    """The tracks of inputs named ``<prefix>/<track>`` or ``<prefix>/<track>/NNNN``, in the order they come."""
    return list(dict.fromkeys(name.split("/")[1] for name in inputs if name.startswith(prefix + "/")))
