"""Demucs at its true size with random weights: segments one by one beside batches, in one run; speed and memory.

Random weights compute what trained ones do, so speed and memory are those of htdemucs; nothing is said of quality.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from services.separation.engines.demucs import Demucs
from shared.engines.accelerator import release
from shared.engines.protocols import EngineOptions
from shared.pipeline.engine_check import resident, torch_memory
from tests.engines.contract_separator import noise

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def htdemucs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("demucs")
    import torch
    from demucs.htdemucs import HTDemucs

    from tests.engines.tiny_separation import SOURCES, save

    torch.manual_seed(0)
    # Of the released model's training arguments those that change its size (HTDemucs' defaults are smaller).
    network = HTDemucs(SOURCES, channels=48, t_layers=5, t_heads=8, bottom_channels=512, segment=7.8, samplerate=44_100)
    return save(network, "ffff0001", tmp_path_factory.mktemp("htdemucs"))


def measured(options: EngineOptions, seconds: int) -> tuple[float, float]:
    """Seconds of sound in a second, and MB taken."""
    before = resident()
    engine = Demucs(options, None)
    mix = noise(2, seconds * 48_000)
    engine.vocals(mix[:, : 8 * 48_000])
    began = time.perf_counter()
    engine.vocals(mix)
    speed = seconds / (time.perf_counter() - began)
    taken = (torch_memory() or resident() - before) / 1e6
    del engine
    release()
    return speed, taken


def compare(place: Path, device: str, batches: tuple[int, ...], seconds: int, capsys: Any, **extra: Any) -> None:
    found = {
        size: measured(EngineOptions(str(place), device, 2, extra={"batch_size": size, **extra}), seconds)
        for size in batches
    }
    with capsys.disabled():
        for size, (speed, taken) in found.items():
            ratio = speed / found[1][0]
            print(
                f"\nhtdemucs {device} {extra} batch {size}: {speed:.2f} × real time ({ratio:.2f}), {taken:.0f} MB",
                end="",
            )
    assert all(speed > 0 for speed, _ in found.values())


def test_batches_on_the_cpu(htdemucs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(htdemucs, "cpu", (1, 2), 16, capsys)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batches_on_a_graphics_card(htdemucs: Path, dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    compare(htdemucs, "cuda", (1, 4, 8, 16), 85, capsys, dtype=dtype)
