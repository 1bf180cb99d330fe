"""One small set of shards for all tests of the loading."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.unit.trainer.material import make_shards
from trainer.recipe import Recipe, recipe_from


def small_recipe(**data: Any) -> Recipe:
    """8 frames of 48 × 48 pixels in 3 s; batches of 4 in the test's own process."""
    settings = {"batch_size": 4, "same_title": 2, "held_out": 0.25, "workers": 0, "seed": 3, **data}
    return recipe_from({"video": {"size": 48, "short_side": [48, 64], "frames": 8}, "data": settings})


@pytest.fixture(scope="session")
def made_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 titles of 5 shots, 8 shots a tar; do not change it."""
    return make_shards(tmp_path_factory.mktemp("shards"), titles=4, shots=5, seconds=(3.2, 3.6, 4.0))


@pytest.fixture
def shards(made_shards: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(made_shards, tmp_path / "shards")
