"""Shot detectors side by side: films joined from real clips with every kind of transition, flashes and moving cameras.

Films and labels: tests/unit/shared/media/transitions.py. A transition counts as found where a shot begins within it,
give or take 2 frames (80 ms); whatever else is found is false. Ours are judged as the pipeline uses them, flashes
merged; those of PySceneDetect as the library runs them by itself, with its defaults. ``COUNTERDUB_SHOTS``: transitions
of each film.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenedetect import detect
from scenedetect.detectors import (
    AdaptiveDetector,
    ContentDetector,
    HashDetector,
    HistogramDetector,
    ThresholdDetector,
)

from services.ingest.stage import STAGE
from shared.engines.protocols import engine_class
from shared.pipeline.stage import Scope
from shared.settings.models import Settings
from tests.benchmarks.running import write_result
from tests.unit.services.ingest.detection import shot_begins
from tests.unit.services.ingest.test_stage import Folder
from tests.unit.shared.media.transitions import Counts, Film, at_rate, drawn_shots, make_film, real_shots, score

pytestmark = pytest.mark.bench

COUNT = int(os.environ.get("COUNTERDUB_SHOTS", "40"))
OURS = ("transnetv2", "adaptive")
LIBRARY = {
    "adaptive": AdaptiveDetector,
    "content": ContentDetector,
    "hash": HashDetector,
    "histogram": HistogramDetector,
    "threshold": ThresholdDetector,
}
GRADUAL = ("dissolve", "fade", "wipe")
DISTURBED = ("flash", "pan", "zoom", "shake")
KINDS = ("cut", *GRADUAL, "mixed")

Detector = Callable[[Path], list[float]]
"""From a file to the numbers of the frames where shots begin."""


def library(kind: Any) -> Detector:
    return lambda path: [start.frame_num for start, _ in detect(str(path), kind())][1:]


@pytest.fixture(scope="module")
def films(data_dir: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Film]:
    """A film of each kind of transition; of cuts alone with something in every shot that is none; one of everything."""
    pool = {**real_shots(data_dir), **drawn_shots(sample)}
    folder = tmp_path_factory.mktemp("films")
    draw = np.random.default_rng(0)
    plan: dict[str, tuple[Sequence[Any], Sequence[Any]]] = {
        **{kind: ([kind] * COUNT, [None] * (COUNT + 1)) for kind in ("cut", *GRADUAL)},
        "mixed": (
            draw.choice(["cut", *GRADUAL], 2 * COUNT).tolist(),
            draw.choice([None, None, *DISTURBED], 2 * COUNT + 1).tolist(),
        ),
        **{kind: (["cut"] * COUNT, [kind] * (COUNT + 1)) for kind in DISTURBED},
    }
    return {
        name: make_film(folder / f"{name}.mp4", pool, kinds, disturbances, seed)
        for seed, (name, (kinds, disturbances)) in enumerate(plan.items())
    }


@pytest.fixture(scope="module")
def scores(
    films: Mapping[str, Film], weights: Any, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Mapping[str, Counts]]:
    detectors: dict[str, Callable[[Path], list[float]]] = {
        f"ours: {name}": partial(shot_begins, detector=name, weights=weights) for name in OURS
    }
    detectors |= {f"library: {name}": library(kind) for name, kind in LIBRARY.items()}
    found: dict[str, dict[str, Counts]] = {}
    speeds = {}
    frames = sum(film.frames for film in films.values())
    print(f"\n\n{frames} frames, {COUNT} transitions a film; precision recall F1; false+missed cuts\n{'':20}", end="")
    print(*(f"{kind:>16}" for kind in KINDS), *(f"{kind:>8}" for kind in DISTURBED), "  frames/s")
    for name, detector in detectors.items():
        began = time.perf_counter()
        found[name] = {kind: score(film, detector(film.path)) for kind, film in films.items()}
        speeds[name] = frames / (time.perf_counter() - began)
        print(printed(name, found[name], speeds[name]), flush=True)
    rows = {name: {kind: asdict(counts) for kind, counts in row.items()} for name, row in found.items()}
    write_result(tmp_path_factory, "shots", {"frames": frames, "frames_per_second": speeds, "counts": rows})
    return found


def printed(name: str, row: Mapping[str, Counts], speed: float) -> str:
    def cell(counts: Counts) -> str:
        return f"{counts.precision:6.2f}{counts.recall:5.2f}{counts.f1:5.2f}"

    wrong = (f"{false_cuts(row[kind]):>4}+{row[kind].transitions - row[kind].hits:<3}" for kind in DISTURBED)
    return " ".join([f"{name:20}", *(cell(row[kind]) for kind in KINDS), *wrong, f"{speed:10.0f}"])


def false_cuts(counts: Counts) -> int:
    return counts.detections - counts.hits


def test_the_default_finds_what_films_are_joined_by(scores: Mapping[str, Mapping[str, Counts]]) -> None:
    row = scores[f"ours: {Settings().ingest.detector}"]
    assert row["cut"].f1 >= 0.97
    assert row["dissolve"].f1 >= 0.90
    assert row["fade"].f1 >= 0.90


def test_flashes_and_moving_cameras_are_cuts_no_more_often_than_with_adaptive(
    scores: Mapping[str, Mapping[str, Counts]],
) -> None:
    default, adaptive = scores[f"ours: {Settings().ingest.detector}"], scores["ours: adaptive"]
    for kind in DISTURBED:
        assert false_cuts(default[kind]) <= false_cuts(adaptive[kind]), kind


@pytest.mark.parametrize("fps", [50, 60])
def test_films_of_more_frames_a_second(fps: int, films: Mapping[str, Film], weights: Any, tmp_path: Path) -> None:
    """The default on the same films as a camera of 50 or 60 frames a second would have them, and on both in turn."""
    default = Settings().ingest.detector
    print(f"\n\n{default} at {fps} frames a second: precision recall F1, cuts off by frames, times as long as at 25")
    for kind in ("cut", "dissolve", "fade", "flash"):
        film = at_rate(films[kind], tmp_path / f"{kind}.mp4", fps)
        seconds = {}
        for rated in (films[kind], film):
            began = time.perf_counter()
            begins = shot_begins(rated.path, default, weights, rated.fps)
            seconds[rated.fps] = time.perf_counter() - began
        counts = score(film, begins)
        errors = [min(abs(at - item.first) for at in begins) for item in film.transitions if item.kind == "cut"]
        slower = seconds[fps] / seconds[films[kind].fps]
        off = f"{max(errors):4.1f}" if errors else "   –"
        print(f"{kind:10}{counts.precision:6.2f}{counts.recall:5.2f}{counts.f1:5.2f} {off} {slower:6.2f}", flush=True)
        assert counts.f1 >= (0.97 if kind == "cut" else 0.90)
        assert max(errors, default=0.0) < 0.5
        assert slower < 1.5


def test_time_of_ingest(sample: Path, weights: Any, tmp_path: Path) -> None:
    """The whole stage on the bundled sample with either of our detectors, twice in turn: the shorter time of each."""
    seconds: dict[str, list[float]] = {name: [] for name in OURS}
    for number in range(2):
        for name in OURS:
            settings = Settings.model_validate({"ingest": {"detector": name}})
            uses = STAGE.engines(settings, Scope())
            engines = {key: engine_class(use.kind, use.name)(use.options, weights) for key, use in uses.items()}
            folder = tmp_path / f"{name}{number}"
            folder.mkdir()
            began = time.perf_counter()
            STAGE.run(Scope(), {"source": sample}, STAGE.settings(settings), engines, Folder(folder))
            seconds[name].append(time.perf_counter() - began)
    best = {name: min(times) for name, times in seconds.items()}
    print(
        "\n\ningest of the sample:", ", ".join(f"{value:.1f} s with {name}" for name, value in best.items()), end="; "
    )
    print(f"{best['transnetv2'] / best['adaptive']:.2f} times as long")
