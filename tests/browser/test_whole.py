"""One visit from beginning to end, on ``counterdub serve`` with real engines and a real training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.browser.conftest import Drive
from tests.conftest import CheckedWeights
from tests.integration.cli.test_serve import Served

pytestmark = pytest.mark.slow

STEPS = 240
SETTINGS = f"""optimiser.steps = {STEPS}
optimiser.warmup_steps = 2
data.batch_size = 2
data.same_title = 2
data.held_out = 0.25
data.held_out_by = "shot"
running.log_every = 1
running.validate_every = 60
"""


def test_upload_listen_correct_train(tmp_path: Path, sample: Path, weights: CheckedWeights, drive: Drive) -> None:
    pytest.importorskip("torch")
    for name in ("spleeter-2stems", "whisper-base-ct2", "kokoro-82m-int8", "qwen2.5-coder-1.5b-instruct-q4"):
        weights.path(name)
    served = Served(tmp_path / "data")
    try:
        found = drive(
            "whole",
            patience_s=3600,
            patience=60_000,
            url=served.url,
            video=str(sample),
            text="Pase, por favor. Llueve mucho.",
            recipe="tiny-es",
            settings=SETTINGS,
            points=STEPS,
        )
    finally:
        served.stop()
    assert "running" in found["queues"]
    for track in ("es", "fr"):
        heard = [(position, off) for sound, position, off in found["heard"] if sound == track]
        assert len(heard) > 20, track
        positions, off = np.array(heard).T
        assert positions[-1] - positions[0] > 0.8, "it plays"
        assert np.median(np.abs(off)) < 0.05, np.round(off, 3)
    assert found["changed"]
    assert found["versions"] == found["before"]
    assert found["oldSound"] in (200, 206)
    assert 1 <= found["first"] < STEPS <= found["points"]
    assert "R@1" in found["retrieval"]
    print({key: found[key] for key in ("seconds", "redubbed", "first", "points")})
