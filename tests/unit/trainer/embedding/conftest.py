"""Encoders with random weights: small, real towers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainer.encoder import Encoder, load_encoder
from trainer.model import Model
from trainer.recipe import load_recipe
from trainer.training import checkpoints


def write(
    run: Path, name: str = "tiny-en", step: int = 1, seed: int = 0, averaged: bool = False, *settings: str
) -> Path:
    """A checkpoint of random weights in a run's folder."""
    recipe = load_recipe(name, settings)
    torch.manual_seed(seed)
    model = Model(recipe)
    state = {"step": step, "recipe": recipe.model_dump(mode="json"), "model": model.state_dict(), "ema": None}
    if averaged:
        state["ema"] = {key: value * 0.5 for key, value in model.state_dict().items()}
    return checkpoints.save(run / "checkpoints", state, keep=9)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of sound and picture."""
    folder = tmp_path_factory.mktemp("run")
    write(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(run: Path) -> Encoder:
    return load_encoder(run)


@pytest.fixture(scope="session")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """An encoder of sound alone."""
    return load_encoder(write(tmp_path_factory.mktemp("audio"), "tiny-aud"))
