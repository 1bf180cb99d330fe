"""Small mistakes are found out: a parity that cannot fail proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from trainer.frontend import clips, windows
from trainer.frontend.mel import mel_filters
from trainer.objective import losses
from trainer.parity import check, find, frontend, loss, towers
from trainer.towers import Tower, acoustic_resnet, build_tower, mvit_attention

Patch = pytest.MonkeyPatch


def failed(folder: Path, name: str) -> list[str]:
    (case,) = check(find(folder, name))
    assert case.ok == all(entry.ok for entry in case.checks)
    return [entry.part for entry in case.checks if not entry.ok]


def changed(monkeypatch: Patch, change: Callable[[Tower], Any]) -> None:
    """Let a tower be changed after it is built."""
    build = build_tower

    def built(*args: Any, **kwargs: Any) -> Tower:
        tower = build(*args, **kwargs)
        change(tower)
        return tower

    monkeypatch.setattr(towers, "build_tower", built)


def looser_norms(tower: Tower) -> None:
    for module in tower.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5


def test_another_epsilon(parity_dir: Path, monkeypatch: Patch) -> None:
    changed(monkeypatch, looser_norms)
    assert "output" in failed(parity_dir, "mvit/mvit_audio_S_nonoverlap")


def test_another_gelu(parity_dir: Path, monkeypatch: Patch) -> None:
    gelu = functional.gelu
    monkeypatch.setattr(functional, "gelu", lambda x: gelu(x, approximate="tanh"))
    assert "output" in failed(parity_dir, "mvit/mvit_audio_S_nonoverlap")


def test_relative_positions_resized_otherwise(parity_dir: Path, monkeypatch: Patch) -> None:
    interpolate = functional.interpolate
    monkeypatch.setattr(
        functional, "interpolate", lambda x, size, mode, align_corners: interpolate(x, size=size, mode="nearest")
    )
    assert "after_block.0" in failed(parity_dir, "mvit/mvit_audio_S_nonoverlap")


def test_height_and_width_confused(parity_dir: Path, monkeypatch: Patch) -> None:
    relative = mvit_attention.PoolingAttention.relative

    def confused(self: Any, q: torch.Tensor, grid_q: Any, grid_k: Any) -> Any:
        self.rel_pos_h, self.rel_pos_w = self.rel_pos_w, self.rel_pos_h
        return relative(self, q, grid_q, grid_k)

    monkeypatch.setattr(mvit_attention.PoolingAttention, "relative", confused)
    assert "output" in failed(parity_dir, "mvit/mvit_audio_S_nonoverlap")


def test_a_key_of_another_name(parity_dir: Path, monkeypatch: Patch) -> None:
    def rename(tower: Any) -> None:
        tower.norm = nn.Sequential(tower.norm)

    changed(monkeypatch, rename)
    assert "keys" in failed(parity_dir, "mvit/mvit_audio_S_nonoverlap")


def test_branches_of_the_acoustic_bottleneck_in_one(parity_dir: Path, monkeypatch: Patch) -> None:
    forward = acoustic_resnet.ResNetBottleneck.forward

    def added_before_relu(self: Any, x: torch.Tensor) -> torch.Tensor:
        if not isinstance(self.conv_b, nn.ModuleList):
            return forward(self, x)
        x = functional.relu(self.norm_a(self.conv_a(x)))
        x = functional.relu(sum(norm(conv(x)) for norm, conv in zip(self.norm_b, self.conv_b, strict=True)))
        return self.norm_c(self.conv_c(x))

    monkeypatch.setattr(acoustic_resnet.ResNetBottleneck, "forward", added_before_relu)
    assert "stage1.block0" in failed(parity_dir, "convnets/acoustic_resnet50_stem32_1ch")


def test_other_sounds(parity_dir: Path, monkeypatch: Patch) -> None:
    def narrower(rate: int, n_fft: int, mels: int) -> np.ndarray:
        return windowed(rate, n_fft, mels) * 1.001

    windowed = mel_filters
    monkeypatch.setattr(frontend, "mel_filters", narrower)
    monkeypatch.setattr("trainer.frontend.mel.mel_filters", narrower)
    found = failed(parity_dir, "audio_frontend/mel")
    assert {"filters", "noise_stereo_3.5s"} <= set(found)


def test_frames_by_exact_arithmetic(parity_dir: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(windows, "resampled", lambda n, fps, target=25.0: windows.uniform(n, round(n * target / fps)))
    assert failed(parity_dir, "video_frontend/tables") == ["frame_selection"]


def test_pictures_smoothed_before_they_shrink(parity_dir: Path, monkeypatch: Patch) -> None:
    def smoothed(frame: np.ndarray, short: int = 256) -> torch.Tensor:
        x = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
        size = windows.scaled_size(frame.shape[0], frame.shape[1], short)
        return functional.interpolate(x, size=size, mode="bilinear", antialias=True)[0]

    assert not torch.equal(smoothed(np.eye(300, dtype=np.uint8)[..., None] * [1]), torch.zeros(1))
    monkeypatch.setattr(frontend, "scaled", smoothed)
    found = failed(parity_dir, "video_frontend/pixels")
    assert "480x640_30f.grid" in found and "256x341_16f.grid" not in found
    assert clips.scaled is not smoothed


def test_one_direction_of_the_loss(parity_dir: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(loss, "infonce", losses.infonce_rows)
    found = failed(parity_dir, "loss/loss")
    assert "infonce.v_p|a_p|none" in found and "siglip.v_p|a_p|none" not in found
