"""Shards in, an encoder out: a tiny recipe by the command line finds held-out shots that it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.trainer.material import make_shards
from tests.unit.trainer.training.command import started
from trainer.training.metrics import read_metrics

SETTINGS = (
    "optimiser.steps=60", "optimiser.warmup_steps=10", "data.batch_size=16", "data.same_title=4", "data.held_out=0.3",
    "data.held_out_by=shot", "data.workers=1", "data.languages=['es','fr']", "running.validate_every=20",
    "running.checkpoint_every=60", "video.frames=4", "video.size=32", "video.short_side=[36,45]",
    "audio.sample_rate=16000", "audio.mels=40", "model.video.width=16", "model.audio.width=16", "model.head.size=64",
)  # fmt: skip


@pytest.mark.slow
def test_a_tiny_recipe_learns_on_generated_shots(tmp_path: Path) -> None:
    shards = make_shards(tmp_path / "shards", titles=8, shots=8, size=(96, 72))
    process = started(tmp_path / "run", shards, *SETTINGS, recipe="tiny-efj")
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    found = json.loads(out)["retrieval"]
    recalls = {name: value for name, value in found.items() if name.startswith("r5/")}
    assert {"r5/audio-video", "r5/video-audio", "r5/es-orig", "r5/fr-video"} <= set(recalls)
    before = next(read_metrics(tmp_path / "run" / "metrics.jsonl"))
    mean = sum(recalls.values()) / len(recalls)
    assert found["held_out"] >= 15 and mean > 1.6 * 5 * found["chance"]
    assert mean > sum(before[name] for name in recalls) / len(recalls) + 0.15
