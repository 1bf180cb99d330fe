"""Metrics of a run, as tests compare them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.training.metrics import read_metrics

BY_THE_CLOCK = {"clips_per_s", "data_wait"}


def curve(out: Path) -> list[dict[str, Any]]:
    """All lines, without what no two runs have alike."""
    lines = read_metrics(out / "metrics.jsonl")
    return [{name: value for name, value in line.items() if name not in BY_THE_CLOCK} for line in lines]
