"""A training's files in the store: another machine can go on from there, and callers can have them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shared.core.storage_errors import storage_errors
from shared.core.store import Blob, Store
from shared.queue.training_notes import CHECKPOINT

BESIDE = ("recipe.toml", "metrics.jsonl", "curves.html")
"""What is kept of a run beside its newest checkpoint."""
LAST = "last"


def newest(run: Path) -> tuple[int, Path] | None:
    """Step and path of the newest checkpoint of a run."""
    folder = run / "checkpoints"
    try:
        path = folder / (folder / LAST).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return (step_of(path), path) if path.parent == folder and path.is_file() else None


def step_of(path: Path) -> int:
    """``step-00000500.pt`` → 500."""
    return int(path.stem.rpartition("-")[2])


def store_checkpoint(store: Store, path: Path) -> Blob | None:
    """Keep a checkpoint; None if the training has meanwhile removed it."""
    try:
        return stored(store, path, CHECKPOINT)
    except FileNotFoundError:
        return None


def store_beside(store: Store, run: Path) -> dict[str, Blob]:
    """Keep the small files of a run, as far as they are there."""
    return {name: stored(store, run / name, name) for name in BESIDE if (run / name).is_file()}


def stored(store: Store, path: Path, name: str) -> Blob:
    """A file that its writer may replace at any time: it is held by a second name, or copied."""
    with store.workspace() as folder:
        held = folder / name
        try:
            os.link(path, held)
        except FileNotFoundError:
            raise
        except OSError:
            with storage_errors("a copy of the training"):
                shutil.copyfile(path, held)
        return store.add(name, held, move=True)


def restore(store: Store, checkpoint: Mapping[str, Any], run: Path, metrics: Iterable[Mapping[str, Any]]) -> None:
    """Lay a run's folder out as it was at a checkpoint of the store.

    Args:
        checkpoint: ``{step, name, sha256, size}``.
        metrics: The lines up to there.

    Raises:
        FileNotFoundError: The store has lost it.
    """
    folder = run / "checkpoints"
    name = f"step-{checkpoint['step']:08d}.pt"
    source = store.fetch(Blob(checkpoint["name"], checkpoint["sha256"], checkpoint["size"]))
    with storage_errors("the folder of the training"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / f".{name}.part")
        (folder / f".{name}.part").replace(folder / name)
        text = "".join(json.dumps(line) + "\n" for line in metrics)
        (run / "metrics.jsonl").write_text(text, encoding="utf-8")
        (folder / LAST).write_text(name, encoding="utf-8")
