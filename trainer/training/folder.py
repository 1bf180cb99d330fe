"""The folder of a run: one training at a time writes to it.

recipe.toml      the whole recipe, as it runs
state.json       running, done, stopped or failed; step of how many; process id
metrics.jsonl    one line a logged step and one a validation
tensorboard/     the same for TensorBoard
checkpoints/     step-00000500.pt …, and last, which names the newest
curves.html      the curves, in one page
nan-batch.pt     the batch that made the loss no number, if one did
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from shared.core.errors import CounterdubError, StorageError, UsageError
from shared.core.storage_errors import storage_errors
from trainer.recipe import Recipe, first_difference, load_recipe, to_toml
from trainer.training import checkpoints

OURS = ("checkpoints", "tensorboard", "recipe.toml", "state.json", "metrics.jsonl", "curves.html", "nan-batch.pt")


class RunFolder:
    """Paths of a run and what is written to them. Only the first of several processes writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkpoints = root / "checkpoints"
        self.metrics = root / "metrics.jsonl"
        self.events = root / "tensorboard"
        self.curves = root / "curves.html"
        self.recipe = root / "recipe.toml"
        self.state = root / "state.json"

    def begin(self, recipe: Recipe, fresh: bool) -> None:
        """Make the folder ready for a recipe: go on in it, or empty it of an earlier run.

        Raises:
            UsageError: ``other_recipe``: an earlier run of another recipe lies there.
            StorageError: ``not_writable`` or ``disk_full``.
        """
        with storage_errors("the run's folder"):
            if fresh:
                self.clear()
            elif self.recipe.exists() and checkpoints.steps(self.checkpoints):
                self.same(load_recipe(str(self.recipe)), recipe)
            self.write(self.recipe, to_toml(recipe))

    def same(self, before: Recipe, now: Recipe) -> None:
        key = first_difference(before, now)
        if key is not None:
            raise UsageError(
                f"The folder holds a training of another recipe: “{key}” is not the same. Choose another folder, or "
                "start over in this one with --fresh. To go on from its weights, name them with "
                "--set model.initial=FOLDER.",
                code="other_recipe",
                key=key,
            )

    def clear(self) -> None:
        for name in OURS:
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def say(self, state: str, step: int, steps: int, error: BaseException | None = None) -> None:
        """Write ``state.json``."""
        facts: dict[str, Any] = {"state": state, "step": step, "steps": steps, "pid": os.getpid()}
        if isinstance(error, CounterdubError):
            facts["error"] = error.to_dict()
        with storage_errors("the run's folder"):
            self.write(self.state, json.dumps(facts, indent=1) + "\n")

    def write(self, path: Path, text: str) -> None:
        checkpoints.replace(path, lambda file: file.write(text.encode()))


@contextmanager
def locked(root: Path) -> Iterator[RunFolder]:
    """The folder, made if need be, for this training alone. The lock goes with the process, however that ends.

    Raises:
        StorageError: ``run_in_use``, ``not_writable`` or ``disk_full``.
    """
    with storage_errors("the run's folder"):
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:  # an OSError too, so it is caught before the others
            raise StorageError(
                "Another training is running in this folder. Wait for it to end, or choose another folder.",
                code="run_in_use",
                retryable=True,
            ) from error
    try:
        yield RunFolder(root)
    finally:
        lock.release()
