"""Towers of published MViT checkpoints: size and patches are read off the weights' shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from shared.core.errors import InputError
from trainer.recipe import TowerSettings
from trainer.towers import Tower, build_tower
from trainer.towers.mvit import PATCHES, SHRINKS

PREFIX = "backbone.net."
Modality = Literal["video", "audio"]
Weights = dict[str, torch.Tensor]


class Published(NamedTuple):
    """A checkpoint's towers, in evaluation mode, and the recipe's settings that would make them."""

    towers: dict[Modality, Tower]
    settings: dict[Modality, TowerSettings]


def load_published(path: Path) -> Published:
    """Both towers of a published checkpoint, or the one that it has; whatever else it holds is left aside.

    Args:
        path: A file of ``torch.save``: a dict with weights under ``model``, by names that begin with
            ``backbone.net.video.`` or ``backbone.net.audio.``. Only tensors and plain values are ever read from it.

    Raises:
        InputError: ``not_a_checkpoint``: no such file; ``other_model``: weights that are missing, unknown or of another
            shape, some of them named.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises anything for things that it refuses
        raise InputError(
            f"“{path.name}” cannot be read as a checkpoint: damaged, another kind of file, or with more in it than "
            "tensors and plain values.",
            code="not_a_checkpoint",
        ) from error
    if not is_published(state):
        raise InputError(f"“{path.name}” holds no weights of MViT towers.", code="not_a_checkpoint")
    published = Published({}, {})
    modalities: tuple[Modality, ...] = ("video", "audio")
    for modality in modalities:
        prefix = f"{PREFIX}{modality}."
        weights = {key.removeprefix(prefix): value for key, value in state["model"].items() if key.startswith(prefix)}
        if weights:
            settings, channels = settings_of(modality, weights)
            tower = build_tower(settings, modality, channels=channels)
            fill(tower, weights, modality)
            published.settings[modality], published.towers[modality] = settings, tower.eval()
    return published


def is_published(state: Any) -> bool:
    """Whether what was loaded has the layout of a published checkpoint."""
    weights = state.get("model") if isinstance(state, Mapping) else None
    return isinstance(weights, Mapping) and any(
        isinstance(key, str) and key.startswith(PREFIX) and isinstance(value, torch.Tensor)
        for key, value in weights.items()
    )


def settings_of(modality: Modality, weights: Weights) -> tuple[TowerSettings, int]:
    """Settings and channels of the tower that has such weights."""
    numbers = [int(match[1]) for match in (re.match(r"blocks\.(\d+)\.", key) for key in weights) if match]
    depth = 1 + max(numbers, default=-1)
    sizes: list[Literal["S", "B"]] = [size for size in ("S", "B") if SHRINKS[size][0] == depth]
    if not sizes:
        raise misfit(modality, [f"{depth} blocks, where size S has 16 and size B has 24"])
    patch = weights.get("patch_embed.proj.weight")
    if patch is None:
        raise misfit(modality, ["patch_embed.proj.weight is missing"])
    kinds: tuple[Literal["overlap", "nonoverlap"], ...] = ("overlap", "nonoverlap")
    for patches in kinds:
        if PATCHES[modality, patches][0] == tuple(patch.shape[2:]):
            return TowerSettings(kind="mvit", size=sizes[0], patches=patches), patch.shape[1]
    raise misfit(modality, [f"patches of {' × '.join(str(side) for side in patch.shape[2:])}"])


def fill(tower: Tower, weights: Weights, modality: Modality) -> None:
    """Load weights that must be exactly the tower's own."""
    state = tower.state_dict()
    faults = [f"{key} is missing" for key in sorted(state.keys() - weights.keys())]
    faults += [f"{key} is unknown" for key in sorted(weights.keys() - state.keys())]
    for key in sorted(state.keys() & weights.keys()):
        ours, theirs = tuple(state[key].shape), tuple(weights[key].shape)
        if ours != theirs:
            faults.append(f"{key} is {theirs} instead of {ours}")
    if faults:
        raise misfit(modality, faults)
    tower.load_state_dict(weights)


def misfit(modality: str, faults: list[str]) -> InputError:
    shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
    return InputError(f"The {modality} weights are of another tower: {shown}.", code="other_model", faults=len(faults))
