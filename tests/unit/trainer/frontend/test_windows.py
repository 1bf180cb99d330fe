"""Frames, windows and crops at the places where rounding decides."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trainer.frontend.windows import (
    audio_windows,
    five_crops,
    frames_of_clip,
    resampled,
    scaled_size,
    uniform,
    video_windows,
)


def test_rounding_in_float64_is_part_of_the_rule() -> None:
    assert len(resampled(66, 30.0)) == 56  # exact arithmetic gives 55
    assert len(resampled(75, 25.0)) == 75


@given(
    st.integers(1, 2000), st.sampled_from([10.0, 12.0, 23.976023976023978, 24.0, 25.0, 29.97002997002997, 50.0, 60.0])
)
def test_frames_go_from_the_first_to_the_last(count: int, fps: float) -> None:
    indices = resampled(count, fps)
    assert indices[0] == 0 and (len(indices) == 1 or indices[-1] == count - 1)
    assert all(later >= earlier for earlier, later in pairwise(indices))
    chosen = frames_of_clip(count, fps)
    assert len(chosen) == 16 and chosen.max() < count


def test_a_single_frame_stands_for_all() -> None:
    assert frames_of_clip(1, 25.0).tolist() == [0] * 16
    assert uniform(5, 1).tolist() == [0]


@given(st.floats(0, 500))
def test_windows_of_pictures_cover_all_but_half_a_window(last: float) -> None:
    windows = video_windows(last)
    assert windows[0][0] == 0
    assert last - windows[-1][1] <= 1.5
    assert all(0 <= start <= end <= last for start, end in windows)


@given(st.integers(1, 2_000_000), st.sampled_from([16_000, 44_100, 48_000]))
def test_windows_of_sounds_cover_all_but_half_a_window(samples: int, rate: int) -> None:
    windows = audio_windows(samples, rate)
    assert windows[0][0] == 0
    assert samples - windows[-1][1] <= 1.5 * rate
    assert all(0 <= start < end <= samples for start, end in windows)


def test_a_window_ends_before_the_last_frame_not_on_it() -> None:
    assert video_windows(6.0) == [(0.0, 3.0), (3.0, 6.0)]  # the second as what is left
    assert video_windows(4.5) == [(0.0, 3.0)]
    assert audio_windows(216_000, 48_000) == [(0, 144_000)]
    assert audio_windows(216_001, 48_000) == [(0, 144_000), (72_001, 216_001)]


def test_sizes_round_down_and_centres_to_even() -> None:
    assert scaled_size(240, 320) == (256, 341)
    assert scaled_size(320, 240) == (341, 256)
    assert five_crops(256, 341)[-1] == (16, 58)
    assert five_crops(256, 455)[-1] == (16, 116)
