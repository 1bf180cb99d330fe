"""Weights that a training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from shared.core.errors import InputError, UsageError
from trainer.model import Model
from trainer.training import checkpoints


def start_from(model: Model, initial: str) -> None:
    """Take the weights of another training, the averaged ones where there are any, or towers of a published checkpoint.

    Args:
        model: Gets them.
        initial: A checkpoint, or a run's folder, of which the newest is taken (``model.initial`` of a recipe).

    Raises:
        UsageError: ``initial_missing``.
        InputError: ``not_a_checkpoint``, ``checkpoint_damaged``, ``other_model`` (other towers or heads).
    """
    path = checkpoint_of(initial)
    try:
        state = checkpoints.load(path)
    except InputError as error:
        if error.code != "not_a_checkpoint":
            raise
        from trainer.towers.published import load_published

        for modality, tower in load_published(path).towers.items():
            own = model.video if modality == "video" else model.audio
            if own is not None:
                fill(own, tower.state_dict())
        return
    fill(model, state["ema"] or state["model"])


def checkpoint_of(initial: str) -> Path:
    path = Path(initial)
    if path.is_dir():
        saved = checkpoints.steps(path / "checkpoints") or checkpoints.steps(path)
        path = saved[0] if saved else path
    if not path.is_file():
        raise UsageError(
            f"The recipe starts from the weights of “{Path(initial).name}”, which are not here. Name a checkpoint or "
            "the folder of a training with --set model.initial=PATH, or start from random weights with "
            "--set model.initial=''.",
            code="initial_missing",
        )
    return path


def fill(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(
            f"The weights of model.initial are of another model than the recipe's: {first}", code="other_model"
        ) from error
