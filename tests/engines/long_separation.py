"""Separates a long file with a very small Demucs and prints the peak memory in kilobytes (run as a process)."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.demucs import Demucs as Network

from services.separation.blocks import separate_file
from services.separation.engines.demucs import Demucs
from shared.audio.files import FlacWriter, length
from shared.core.records import SAMPLE_RATE
from shared.engines.protocols import EngineOptions
from tests.engines.tiny_separation import SOURCES, save


def main(minutes: int, folder: Path) -> None:
    torch.manual_seed(0)
    model, mix = folder / f"model{minutes}", folder / f"{minutes}.flac"
    model.mkdir()
    plain: dict[str, Any] = {"lstm_layers": 0, "dconv_mode": 0, "rewrite": False, "resample": False}
    save(Network(SOURCES, channels=2, depth=1, segment=30, samplerate=44_100, **plain), "eeee0001", model)
    block = (1e-4 * np.random.default_rng(0).standard_normal((1, 10 * SAMPLE_RATE))).astype(np.float32)
    with FlacWriter(mix, 1) as out:
        for _ in range(6 * minutes):
            out.write(block)
    engine = Demucs(EngineOptions(model=str(model), threads=1), None)
    with FlacWriter(folder / f"{minutes}-vocals.flac", 1) as out:
        for piece in separate_file(engine, mix, 0, length(mix)[0], context_seconds=1.0):
            out.write(piece)
        assert out.samples == length(mix)[0]
    mix.unlink()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
