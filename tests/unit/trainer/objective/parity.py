"""The published loss vectors: embeddings by rule, expected values and gradients."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import ROOT

NAMES = ("v_p", "a_p", "v_s", "a_s")


def folder() -> Path:
    path = Path(os.environ.get("COUNTERDUB_PARITY", ROOT.parent / "shared" / "parity")) / "loss"
    if not path.is_dir():
        pytest.skip("no parity vectors: set COUNTERDUB_PARITY to the folder that holds them")
    return path


def vectors() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return json.loads((folder() / "loss.json").read_text()), dict(np.load(folder() / "loss.npz"))


def raw() -> dict[str, torch.Tensor]:
    """Stream → float64 [8, 512], not normalised."""

    def draw(name: str) -> np.ndarray:
        return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal((8, 512))

    return {name: torch.from_numpy(0.5 * draw("loss.shared") + draw(f"loss.{name}")) for name in NAMES}


def mask(pairs: list[list[int]]) -> torch.Tensor:
    masked = torch.zeros(8, 8, dtype=torch.bool)
    for row, column in pairs:
        masked[row, column] = True
    return masked
