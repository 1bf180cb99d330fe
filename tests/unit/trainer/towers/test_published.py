"""Checkpoints in the published layout, and files that only look like it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from shared.core.errors import InputError
from trainer.recipe import TowerSettings
from trainer.towers import build_tower
from trainer.towers.published import PREFIX, is_published, load_published

AUDIO = TowerSettings(kind="mvit", size="S", patches="nonoverlap")
VIDEO = TowerSettings(kind="mvit", size="S", patches="overlap")


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    torch.manual_seed(5)
    weights = {f"{PREFIX}audio.{k}": v for k, v in build_tower(AUDIO, "audio").state_dict().items()}
    weights |= {f"{PREFIX}video.{k}": v for k, v in build_tower(VIDEO, "video").state_dict().items()}
    weights["head.weight"] = torch.zeros(2, 2)
    return {"model": weights, "epoch": 12}


def saved(folder: Path, state: Any) -> Path:
    torch.save(state, folder / "published.pt")
    return folder / "published.pt"


def test_both_towers_are_found_and_their_kind_is_read_off_the_weights(
    tmp_path: Path, published: dict[str, Any]
) -> None:
    found = load_published(saved(tmp_path, published))
    assert found.settings == {"audio": AUDIO, "video": VIDEO}
    for modality, tower in found.towers.items():
        assert not tower.training
        for key, value in tower.state_dict().items():
            assert torch.equal(value, published["model"][f"{PREFIX}{modality}.{key}"])


def test_one_tower_is_enough(tmp_path: Path, published: dict[str, Any]) -> None:
    audio = {key: value for key, value in published["model"].items() if "audio" in key}
    assert list(load_published(saved(tmp_path, {"model": audio})).towers) == ["audio"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w.pop(f"{PREFIX}audio.norm.bias"), "norm.bias is missing"),
        (lambda w: w.update({f"{PREFIX}audio.extra": torch.zeros(1)}), "extra is unknown"),
        (lambda w: w.update({f"{PREFIX}audio.norm.bias": torch.zeros(7)}), "norm.bias is (7,) instead of (768,)"),
        (lambda w: w.update({f"{PREFIX}audio.blocks.16.norm1.bias": torch.zeros(7)}), "17 blocks"),
        (lambda w: w.pop(f"{PREFIX}audio.patch_embed.proj.weight"), "patch_embed.proj.weight is missing"),
        (lambda w: w.update({f"{PREFIX}audio.patch_embed.proj.weight": torch.zeros(96, 1, 2, 2)}), "patches of 2 × 2"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path: Path, published: dict[str, Any], change: Any, says: str) -> None:
    weights = {key: value for key, value in published["model"].items() if "audio" in key}
    change(weights)
    with pytest.raises(InputError) as caught:
        load_published(saved(tmp_path, {"model": weights}))
    assert caught.value.code == "other_model" and says in caught.value.message


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    target = tmp_path / "was here"
    path = saved(tmp_path, {"model": {f"{PREFIX}audio.x": Hostile(target)}})
    with pytest.raises(InputError) as caught:
        load_published(path)
    assert caught.value.code == "not_a_checkpoint" and not target.exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04" + bytes(40)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_published(path)
    assert caught.value.code == "not_a_checkpoint"


@pytest.mark.parametrize("state", [{}, {"model": {}}, {"model": {"head.weight": torch.zeros(1)}}, [1], 7])
def test_other_layouts_are_refused(tmp_path: Path, state: Any) -> None:
    assert not is_published(state)
    with pytest.raises(InputError) as caught:
        load_published(saved(tmp_path, state))
    assert caught.value.code == "not_a_checkpoint"
