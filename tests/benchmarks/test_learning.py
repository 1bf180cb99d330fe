"""A tiny recipe on pairs that the pipeline made: does retrieval rise above chance on held-out shots, and how fast?

Films put together from real pictures, sounds and speech (tests/benchmarks/montage.py) are dubbed by ``counterdub dub``;
a third of their shots is held out, five times another one. Takes some ten minutes on two cores.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.montage import make_films
from tests.benchmarks.running import counterdub, dub, folder, write_result
from tests.unit.trainer.pieces import cut_up
from trainer.training.metrics import read_metrics

FILMS, SHOTS = 5, 18
FRAMES = 80
"""Of every shot, so that each is one piece; what cuts take off its ends does not matter then."""
FOLDS = 5
STEPS = 300
PAIRS = ("audio-video", "video-audio")
SETTINGS = (
    "video.frames=4", "data.batch_size=16", "data.same_title=4", "data.held_out=0.33", "data.held_out_by=shot",
    "running.validate_every=25", "running.checkpoint_every=1000",
)  # fmt: skip


@pytest.mark.bench
def test_a_tiny_recipe_learns_on_the_pipelines_pairs(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    work = folder(tmp_path_factory, "learning")
    (work / "films").mkdir()
    began = time.perf_counter()
    dub(make_films(data_dir, work / "films", FILMS, SHOTS), work / "pairs", languages=("es",))
    print(f"\n{FILMS} films of {SHOTS} shots, dubbed in {time.perf_counter() - began:.0f} s")
    shards = work / "shards"
    made = counterdub("shards", work / "pairs", "--to", shards)
    runs = [trained(shards, work / f"fold{fold}", fold) for fold in range(FOLDS)]
    print(f"{made['shots']} shots, {runs[0]['pieces']} long enough; {FOLDS} folds, {STEPS} steps each")
    result: dict[str, Any] = {"folds": runs, **{f"r{depth}": pooled(runs, depth) for depth in (1, 5)}}
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
    pieces = cut_up(shards, work / "pieces", fold, FRAMES)
    settings = [word for value in (*SETTINGS, f"optimiser.steps={STEPS}") for word in ("--set", value)]
    began = time.perf_counter()
    counterdub("train", "tiny-es", "--data", work / "pieces", "--out", work / "run", *settings)
    seconds = time.perf_counter() - began
    curve = [line for line in read_metrics(work / "run" / "metrics.jsonl") if "held_out" in line]
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
