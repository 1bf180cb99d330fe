"""MViT forward and backward: our fused attention beside the reference-style one that keeps its matrix, in one run.

Each measurement is a process of its own, so that peaks of memory are its own; they take turns.
"""

from __future__ import annotations

import json
import math
import resource
import statistics
import subprocess
import sys
import time
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.benchmarks.running import write_result
from trainer.recipe import TowerSettings
from trainer.towers import build_tower
from trainer.towers.mvit_attention import Grid, PoolingAttention, between

Modality = Literal["video", "audio"]
CLIPS: dict[str, int] = {"video": 1, "audio": 4}
CLIPS_ON_A_CARD: dict[str, int] = {"video": 16, "audio": 64}
STEPS, ROUNDS = 1, 1


class Explicit(PoolingAttention):
    """The reference's way: all logits, relative terms added in place of the grid's part, softmax, times values."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, grid_q: Grid, grid_k: Grid) -> Tensor:
        first = int(self.class_token)
        logits = (q * self.head_width**-0.5) @ k.transpose(-2, -1)
        cube = q[:, :, first:].reshape(*q.shape[:2], *grid_q, self.head_width)
        inside = logits[:, :, first:, first:].reshape(*q.shape[:2], *grid_q, *grid_k)
        height = torch.einsum("bnthwc,hkc->bnthwk", cube, between(self.rel_pos_h, grid_q[1], grid_k[1]))
        width = torch.einsum("bnthwc,wkc->bnthwk", cube, between(self.rel_pos_w, grid_q[2], grid_k[2]))
        inside = inside + height[..., None, :, None] + width[..., None, None, :]
        if self.rel_pos_t is not None:
            along = torch.einsum("bnthwc,tkc->bnthwk", cube, between(self.rel_pos_t, grid_q[0], grid_k[0]))
            inside = inside + along[..., :, None, None]
        logits = logits.clone()
        logits[:, :, first:, first:] = inside.reshape(*q.shape[:2], math.prod(grid_q), math.prod(grid_k))
        return logits.softmax(-1) @ v


def measure(modality: Modality, explicit: bool, device: str, clips: int, steps: int) -> dict[str, Any]:
    """Seconds of each step after the first, peak of memory above what there was before them, and the first loss."""
    torch.manual_seed(0)
    tower = build_tower(TowerSettings(kind="mvit"), modality).to(device)
    for module in tower.modules():
        if explicit and isinstance(module, PoolingAttention):
            module.__class__ = Explicit
    shape = (clips, 3, 16, 224, 224) if modality == "video" else (clips, 1, 96, 288)
    x = torch.rand(shape).to(device)
    before = peak(device)
    losses, seconds = [], []
    for _ in range(steps + 1):
        start = time.perf_counter()
        tower.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = tower(x).float().square().mean()
        loss.backward()
        losses.append(loss.item())
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    gradient = sum(
        weight.grad.double().square().sum().item() for weight in tower.parameters() if weight.grad is not None
    )
    return {"seconds": seconds[1:], "peak": peak(device) - before, "loss": losses[0], "gradient": math.sqrt(gradient)}


def peak(device: str) -> int:
    """Bytes, the most there ever were."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def compare(modality: Modality, device: str, clips: int) -> dict[str, Any]:
    rounds: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for explicit, found in rounds.items():
            arguments = [modality, "explicit" if explicit else "fused", device, str(clips), str(STEPS)]
            command = [sys.executable, "-m", "tests.benchmarks.test_towers", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout))
    seconds = {key: statistics.median(s for one in found for s in one["seconds"]) for key, found in rounds.items()}
    peaks = {key: statistics.median(one["peak"] for one in found) for key, found in rounds.items()}
    result = {
        "modality": modality,
        "device": device,
        "clips": clips,
        "seconds": {"fused": seconds[False], "explicit": seconds[True]},
        "peak_mib": {"fused": peaks[False] / 2**20, "explicit": peaks[True] / 2**20},
        "time_ratio": seconds[True] / seconds[False],
        "memory_ratio": peaks[True] / peaks[False],
        "clips_per_second": clips / seconds[False],
    }
    print(
        f"\nMViT S {modality}, {device}, {clips} clips, forward and backward, explicit / fused: "
        f"time {seconds[True]:.2f} s / {seconds[False]:.2f} s = {result['time_ratio']:.2f}, "
        f"memory {result['peak_mib']['explicit']:.0f} MiB / {result['peak_mib']['fused']:.0f} MiB = "
        f"{result['memory_ratio']:.2f}; {result['clips_per_second']:.2f} clips a second"
    )
    tolerance = 1e-4 if device == "cpu" else 2e-2
    for key in ("loss", "gradient"):
        assert rounds[False][0][key] == pytest.approx(rounds[True][0][key], rel=tolerance), "both compute the same"
    return result


@pytest.mark.bench
def test_attention_on_the_processor(tmp_path_factory: pytest.TempPathFactory) -> None:
    results = [compare(modality, "cpu", CLIPS[modality]) for modality in ("video", "audio")]
    write_result(tmp_path_factory, "towers-cpu", results)
    assert results[0]["memory_ratio"] > 1, "of sound the matrix is hardly larger than the features instead of it"


@pytest.mark.gpu
def test_attention_on_a_card(tmp_path_factory: pytest.TempPathFactory) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    results = [compare(modality, "cuda", CLIPS_ON_A_CARD[modality]) for modality in ("video", "audio")]
    write_result(tmp_path_factory, "towers-cuda", results)
    assert results[0]["memory_ratio"] > 1


if __name__ == "__main__":
    asked, way, where, count, times = sys.argv[1:]
    kind: Literal["video", "audio"] = "video" if asked == "video" else "audio"
    print(json.dumps(measure(kind, way == "explicit", where, int(count), int(times))))
