"""From decoded frames to clips: the bundled sample, and files that break off."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from trainer.frontend.clips import Window, clips, crops, plan, scaled
from trainer.frontend.picture import picture
from trainer.frontend.windows import frames_of_clip, video_windows

BASE = Fraction(1, 1000)


def frames(count: int) -> list[tuple[int, np.ndarray]]:
    return [(40 * index, np.full((20, 30, 3), index, np.uint8)) for index in range(count)]


def shades(made: np.ndarray) -> list[int]:
    """Which frame each of a clip's frames is."""
    assert made.shape == (5, 16, 14, 14, 3)
    return [round(value * 255) for value in made[0, :, 0, 0, 0].tolist()]


def small(decoded: list[tuple[int, np.ndarray]], windows: list[Window]) -> list[tuple[Window, np.ndarray]]:
    return list(clips(iter(decoded), windows, short=16, size=14))


def test_each_window_has_the_frames_that_its_rule_says() -> None:
    decoded = frames(200)
    pts = np.array([at for at, _ in decoded])
    windows = plan(pts, BASE, 25.0)
    assert [(window.start, window.end) for window in windows] == video_windows(7.96)
    found = small(decoded, windows)
    assert [window for window, _ in found] == windows
    assert shades(found[0][1]) == frames_of_clip(76, 25.0).tolist()  # both ends are in: frames 0 to 75
    assert shades(found[1][1]) == (75 + frames_of_clip(76, 25.0)).tolist()


def test_times_that_do_not_begin_at_zero() -> None:
    decoded = [(at + 7_000, frame) for at, frame in frames(30)]
    windows = plan(np.array([at for at, _ in decoded]), BASE, 25.0)
    assert shades(small(decoded, windows)[0][1]) == frames_of_clip(30, 25.0).tolist()


def test_the_next_frame_stands_in_for_one_that_is_missing_and_the_last_at_the_end() -> None:
    decoded = frames(76)
    windows = plan(np.array([at for at, _ in decoded]), BASE, 25.0)
    wanted = frames_of_clip(76, 25.0).tolist()
    without = [entry for index, entry in enumerate(decoded) if index != wanted[5]]
    assert shades(small(without, windows)[0][1]) == [*wanted[:5], wanted[5] + 1, *wanted[6:]]
    kept = decoded[:40]
    assert shades(small(kept, windows)[0][1]) == [index if index < 40 else wanted[7] for index in wanted]


def test_a_window_of_which_nothing_came_is_left_out() -> None:
    decoded = frames(200)
    windows = plan(np.array([at for at, _ in decoded]), BASE, 25.0)
    assert [window for window, _ in small(decoded[:60], windows)] == windows[:1]


@pytest.fixture(scope="module")
def film() -> Iterator[tuple[list[tuple[int, np.ndarray]], Fraction, float]]:
    av = pytest.importorskip("av")
    with av.open(str(ROOT / "tests" / "sample" / "sample.mp4")) as container:
        stream = container.streams.video[0]
        decoded = []
        for frame in container.decode(stream):
            if frame.time > 7:
                break
            decoded.append((frame.pts, frame.to_ndarray(format="rgb24")))
        yield decoded, stream.time_base, float(stream.average_rate)


def test_frames_that_go_by_give_what_whole_windows_give(
    film: tuple[list[tuple[int, np.ndarray]], Fraction, float],
) -> None:
    decoded, base, fps = film
    pts = np.array([at for at, _ in decoded])
    windows = plan(pts, base, fps)
    assert len(windows) == 2
    times = (pts - pts[0]) * float(base)
    for window, made in clips(iter(decoded), windows):
        inside = [
            frame
            for time, (_, frame) in zip(times, decoded, strict=True)
            if window.start - 1e-6 <= time <= window.end + 1e-6
        ]
        chosen = [inside[index] for index in frames_of_clip(len(inside), fps)]
        whole = crops(torch.stack([scaled(frame) for frame in chosen]))
        assert np.array_equal(made, whole)
        assert made.shape == (5, 16, 224, 224, 3) and 0 <= made.min() < made.max() <= 1


def test_training_frames_become_pictures() -> None:
    whole = torch.randint(0, 256, (2, 3, 8, 8, 3), dtype=torch.uint8)
    made = picture(whole)
    assert made.shape == (2, 3, 3, 8, 8) and made.dtype == torch.float32
    assert torch.equal((made[1, 2, 1] * 255).round().to(torch.uint8), whole[1, 1, :, :, 2])
