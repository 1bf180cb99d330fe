"""Weights that a training starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.errors import UsageError
from trainer.recipe import Recipe
from trainer.running import checkpoints


def initial_weights(recipe: Recipe) -> dict[str, Any]:
    """The checkpoint of ``model.initial``: a file, or a run's folder, of which the newest is taken.

    Raises:
        UsageError: ``initial_missing``.
        InputError: ``not_a_checkpoint``, ``checkpoint_damaged``.
    """
    path = Path(recipe.model.initial)
    if path.is_dir():
        found = checkpoints.steps(path / "checkpoints") or checkpoints.steps(path)
        path = found[0] if found else path
    if not path.is_file():
        raise UsageError(
            f"The recipe starts from the weights of “{Path(recipe.model.initial).name}”, which are not here. Name a "
            "checkpoint or the folder of a training with --set model.initial=PATH, or start from random weights with "
            "--set model.initial=''.",
            code="initial_missing",
        )
    return checkpoints.load(path)
