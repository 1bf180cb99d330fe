"""Weights to start from that another project published."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shared.core.errors import InputError
from trainer.model import Model
from trainer.recipe import Recipe, load_recipe
from trainer.towers import build_tower
from trainer.training.initial_weights import start_from

PREFIX = "backbone.net.audio."


def sound_alone(size: str) -> Recipe:
    return load_recipe("aud", ["model.audio.kind=mvit", "audio.channels=1", f"model.audio.size={size}"])


def test_towers_of_a_published_checkpoint(tmp_path: Path) -> None:
    recipe = sound_alone("S")
    tower = build_tower(recipe.model.audio, "audio")
    torch.save({"model": {PREFIX + key: value for key, value in tower.state_dict().items()}}, tmp_path / "b3.pt")
    model = Model(recipe)
    start_from(model, str(tmp_path / "b3.pt"))
    assert model.audio is not None
    taken, given = model.audio.state_dict(), tower.state_dict()
    assert all(torch.equal(taken[key], given[key]) for key in given)
    with pytest.raises(InputError) as caught:
        start_from(Model(sound_alone("B")), str(tmp_path / "b3.pt"))
    assert caught.value.code == "other_model"


def test_another_file(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "x.pt")
    with pytest.raises(InputError) as caught:
        start_from(Model(load_recipe("tiny-en")), str(tmp_path / "x.pt"))
    assert caught.value.code == "not_a_checkpoint"
