"""Which frames, windows and crops: exact rules, in numpy.

They are the reference's, rounding included, so that its published figures can be compared with ours.
"""

from __future__ import annotations

import math

import numpy as np

SHORT_SIDE = 256
CROP = 224


def resampled(count: int, fps: float, target: float = 25.0) -> np.ndarray:
    """Indices (int64) into ``count`` frames at ``fps`` that make them ``target`` frames a second.

    Rounding in float64 is part of the rule: 66 frames at 30 fps give 56, where exact arithmetic gives 55.
    """
    if fps == target:
        return np.arange(count)
    length = math.ceil((count / fps) * target)
    if length <= 1:
        return np.zeros(1, np.int64)
    indices: np.ndarray = np.floor(np.arange(length) * ((count - 1) / (length - 1))).astype(np.int64)
    indices[-1] = count - 1
    return indices


def uniform(count: int, frames: int = 16) -> np.ndarray:
    """``frames`` indices (int64) spread over ``count`` from the first to the last, exact floor."""
    if frames == 1:
        return np.zeros(1, np.int64)
    return np.arange(frames) * (count - 1) // (frames - 1)


def frames_of_clip(count: int, fps: float, frames: int = 16, target: float = 25.0) -> np.ndarray:
    """Indices (int64) of the frames that a clip of ``count`` frames at ``fps`` is encoded by."""
    indices = resampled(count, fps, target)
    chosen: np.ndarray = indices[uniform(len(indices), frames)]
    return chosen


def video_windows(last: float, seconds: float = 3.0) -> list[tuple[float, float]]:
    """Windows (start, end in seconds) that cover a picture whose last frame stands at ``last``.

    Whole windows while they end before the last frame; then one that ends there, if more than half of one is left.
    """
    windows = []
    start = 0.0
    while start + seconds < last:
        windows.append((start, start + seconds))
        start += seconds
    if not windows:
        return [(0.0, last)]
    if last - start > seconds / 2:
        windows.append((last - seconds, last))
    return windows


def audio_windows(samples: int, sample_rate: int, seconds: float = 3.0) -> list[tuple[int, int]]:
    """Windows (start, end in samples) that cover a sound; a short one is one window, filled up later."""
    length = int(sample_rate * seconds)
    whole = samples // length
    if not whole:
        return [(0, samples)]
    windows = [(index * length, (index + 1) * length) for index in range(whole)]
    if samples - whole * length > int(seconds / 2 * sample_rate):
        windows.append((samples - length, samples))
    return windows


def scaled_size(height: int, width: int, short: int = SHORT_SIDE) -> tuple[int, int]:
    """Height and width once the shorter side is ``short`` pixels; the longer one is rounded down, in float64."""
    if width < height:
        return math.floor((height / width) * short), short
    return short, math.floor((width / height) * short)


def five_crops(height: int, width: int, size: int = CROP) -> list[tuple[int, int]]:
    """Top and left of the crops: top left, top right, bottom left, bottom right, centre (half rounds to even)."""
    down, right = height - size, width - size
    return [(0, 0), (0, right), (down, 0), (down, right), (round(down / 2), round(right / 2))]
