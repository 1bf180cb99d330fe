"""How much a run costs beside its engines, where its time goes, and what running again costs. Ratios, not seconds.

Meaningful on an idle machine only: engines that wait for a core make the rest look small, and the reverse.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.running import counterdub, dub, write_result

pytestmark = pytest.mark.bench
MAX_OVERHEAD = 1.10
MAX_RESUMED = 0.10
MAX_REDUB = 0.60


@pytest.fixture(scope="module")
def runs(weights: Any, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The sample dubbed, dubbed again, and with one line changed."""
    out = tmp_path_factory.mktemp("speed")
    first = dub([sample], out)
    stages = json.loads((out / sample.stem / "title.json").read_text(encoding="utf-8"))["timings"]
    again = dub([sample], out)
    line = ("--utterance", "u0002", "--lang", "es", "--text", "Gracias, Ana. Perdí el último tren.")
    changed = counterdub("redub", out, *line)
    found = {
        "overhead": first["seconds"] / first["engine_seconds"],
        "resumed": again["seconds"] / first["seconds"],
        "redub": changed["seconds"] / first["seconds"],
        "stages": stages,
        "runs": {"first": first, "resumed": again, "redub": changed},
    }
    path = write_result(tmp_path_factory, "speed", found)
    print(f"\n\n{table(stages, first)}\n")
    print(f"wall time ÷ time in engines {found['overhead']:.3f}, must be ≤ {MAX_OVERHEAD}")
    print(f"resumed ÷ first {found['resumed']:.3f}, one line changed ÷ first {found['redub']:.3f}\n{path}")
    return found


def table(stages: dict[str, Any], run: dict[str, Any]) -> str:
    """Shares of the run's wall time by stage, the dearest first."""
    wall = run["seconds"]
    lines = [f"{'stage':16}{'share':>8}{'outside engines':>18}"]
    for name, spent in sorted(stages.items(), key=lambda item: -item[1]["seconds"]):
        beside = spent["seconds"] - spent["engine_seconds"]
        lines.append(f"{name:16}{spent['seconds'] / wall:8.1%}{beside / wall:18.1%}")
    rest = wall - sum(spent["seconds"] for spent in stages.values())
    return "\n".join([*lines, f"{'between stages':16}{rest / wall:8.1%}{rest / wall:18.1%}"])


def test_little_time_is_spent_outside_engines(runs: dict[str, Any]) -> None:
    assert runs["overhead"] <= MAX_OVERHEAD


def test_running_again_finds_everything_done(runs: dict[str, Any]) -> None:
    assert runs["runs"]["resumed"]["computed_tasks"] == 0
    assert runs["resumed"] <= MAX_RESUMED


def test_one_changed_line_costs_a_fraction(runs: dict[str, Any]) -> None:
    changed = runs["runs"]["redub"]
    assert changed["cached_tasks"] > changed["computed_tasks"]
    assert runs["redub"] <= MAX_REDUB
