"""A tiny recipe on pairs that the pipeline made: does retrieval rise above chance, and how fast?

``COUNTERDUB_PAIRS`` names an output folder of ``counterdub dub``; without it that of ``make demo`` is taken. There are
few shots in either, so they are cut into pieces (tests/trainer/pieces.py) and a third of the pieces is held out, five
times another one: what is measured are moments never trained on, of shots of which other moments were.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.running import counterdub, folder, write_result
from tests.conftest import ROOT
from tests.trainer.pieces import SETTINGS, cut_up
from trainer.running.metrics import read

FOLDS = 5
STEPS = 300
PAIRS = ("audio-video", "video-audio")


@pytest.mark.bench
def test_a_tiny_recipe_learns_on_real_pairs(tmp_path_factory: pytest.TempPathFactory) -> None:
    pairs = Path(os.environ.get("COUNTERDUB_PAIRS", ROOT / "out" / "demo"))
    if not (pairs / "pairs.parquet").is_file():
        pytest.skip("no pairs: run make demo, or name an output folder of counterdub dub in COUNTERDUB_PAIRS")
    work = folder(tmp_path_factory, "learning")
    shards = work / "shards"
    made = counterdub("shards", pairs, "--to", shards)
    runs = [trained(shards, work / f"fold{fold}", fold) for fold in range(FOLDS)]
    print(f"\n{made['shots']} shots in {runs[0]['pieces']} pieces; {FOLDS} folds, {STEPS} steps each")
    result = {"folds": runs, **{f"r{depth}": pooled(runs, depth) for depth in (1, 5)}}
    for depth in (1, 5):
        before, after, chance, error = (result[f"r{depth}"][name] for name in ("before", "after", "chance", "error"))
        print(
            f"R@{depth} sound ↔ picture: untrained {before:.0%}, trained {after:.0%} ± {error:.0%}, chance {chance:.0%}"
        )
    print("seconds a training: " + ", ".join(f"{run['seconds']:.0f}" for run in runs))
    write_result(tmp_path_factory, "learning", result)
    for depth in (1, 5):
        found = result[f"r{depth}"]
        assert found["after"] - 2 * found["error"] > found["chance"], found
    assert max(run["seconds"] for run in runs) < 600


def trained(shards: Path, work: Path, fold: int) -> dict[str, Any]:
    """One fold: pieces, a training on them, and its curve."""
    pieces = cut_up(shards, work / "pieces", fold)
    settings = [word for value in (*SETTINGS, f"optimiser.steps={STEPS}") for word in ("--set", value)]
    began = time.perf_counter()
    counterdub("train", "tiny-efj", "--data", work / "pieces", "--out", work / "run", *settings)
    seconds = time.perf_counter() - began
    curve = [line for line in read(work / "run" / "metrics.jsonl") if "held_out" in line]
    return {"pieces": pieces, "seconds": round(seconds, 1), "curve": curve}


def pooled(runs: list[dict[str, Any]], depth: int) -> dict[str, float]:
    """Recall over the queries of all folds, at the first and the last measurement, with the binomial standard error."""
    queries = sum(run["curve"][-1]["held_out"] * len(PAIRS) for run in runs)

    def share(at: int) -> float:
        hits = sum(
            run["curve"][at]["held_out"] * run["curve"][at][f"r{depth}/{pair}"] for run in runs for pair in PAIRS
        )
        return hits / queries

    chance = sum(
        min(1.0, depth * run["curve"][-1]["chance"]) * run["curve"][-1]["held_out"] * len(PAIRS) for run in runs
    )
    after = share(-1)
    return {
        "before": share(0), "after": after, "chance": chance / queries,
        "error": math.sqrt(after * (1 - after) / queries), "queries": queries,
    }  # fmt: skip
