"""Every kind of tower: what goes in, what comes out, and that all of it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from shared.core.errors import UsageError
from trainer.recipe import TowerSettings
from trainer.towers import build_tower

SMALL = {"frames": 4, "size": 64, "mels": 32, "time": 64}
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("video", {"kind": "tiny", "width": 8}, 64),
    ("audio", {"kind": "tiny", "width": 8}, 48),
    ("video", {"kind": "mvit"}, 768),
    ("video", {"kind": "mvit", "patches": "nonoverlap"}, 768),
    ("audio", {"kind": "mvit", "patches": "nonoverlap"}, 768),
    ("audio", {"kind": "mvit", "size": "B"}, 768),
    ("video", {"kind": "x3d_m"}, 1024),
    ("audio", {"kind": "acoustic_resnet50"}, 1024),
    ("audio", {"kind": "acoustic_resnet50", "stem": 64}, 2048),
]


def clip(modality: str, channels: int = 1, shots: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    if modality == "video":
        return torch.rand(shots, 3, SMALL["frames"], SMALL["size"], SMALL["size"], generator=generator)
    return torch.randn(shots, channels, SMALL["mels"], SMALL["time"], generator=generator) * 20 - 40


@pytest.mark.parametrize(("modality", "settings", "size"), CASES)
def test_each_tower_gives_its_size_and_all_its_weights_learn(
    modality: Any, settings: dict[str, Any], size: int
) -> None:
    torch.manual_seed(0)
    tower = build_tower(TowerSettings(**settings), modality, **SMALL)
    out = tower(clip(modality))
    assert out.shape == (2, size) and tower.size == size
    torch.nn.functional.normalize(out, dim=1).prod(0).sum().backward()
    without = [name for name, weight in tower.named_parameters() if weight.grad is None]
    assert without == [], "distributed training waits for gradients that never come"
    assert all(torch.isfinite(weight.grad).all() for weight in tower.parameters() if weight.grad is not None)


@pytest.mark.parametrize(("modality", "settings", "size"), CASES)
def test_a_clip_is_embedded_alike_alone_and_beside_others(modality: Any, settings: dict[str, Any], size: int) -> None:
    torch.manual_seed(0)
    tower = build_tower(TowerSettings(**settings), modality, **SMALL).eval()
    clips = clip(modality, shots=3)
    with torch.inference_mode():
        together, alone = tower(clips), torch.cat([tower(one) for one in clips.split(1)])
    assert together.std() > 0
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5 * max(1.0, together.abs().max().item()))


@pytest.mark.parametrize("kind", ["tiny", "mvit", "acoustic_resnet50"])
def test_two_channels_are_two_channels(kind: Any) -> None:
    tower = build_tower(TowerSettings(kind=kind, width=8), "audio", channels=2, **SMALL).eval()
    sound = clip("audio", channels=2)
    with torch.inference_mode():
        assert not torch.allclose(tower(sound), tower(sound.flip(1)))


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_tiny_towers_encode_a_training_batch_in_parts(modality: Any) -> None:
    tower = build_tower(TowerSettings(kind="tiny", width=8), modality).train()
    clips = clip(modality, shots=4)
    torch.testing.assert_close(tower(clips), torch.cat([tower(part) for part in clips.split(1)]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("modality", "kind"), [("audio", "x3d_m"), ("video", "acoustic_resnet50")])
def test_a_tower_of_the_other_modality_is_refused(modality: Any, kind: Any) -> None:
    with pytest.raises(UsageError) as caught:
        build_tower(TowerSettings(kind=kind), modality)
    assert caught.value.code == "bad_setting" and kind in caught.value.message


def test_tiny_towers_take_any_size() -> None:
    video, audio = (build_tower(TowerSettings(kind="tiny", width=8), modality) for modality in ("video", "audio"))
    for side, frames in ((13, 1), (32, 5), (80, 16)):
        assert video(torch.rand(1, 3, frames, side, side + 3)).isfinite().all()
        assert audio(torch.randn(1, 1, side, 4 * side)).isfinite().all()
