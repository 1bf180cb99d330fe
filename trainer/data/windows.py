"""Where the windows of a shot lie, and how its picture is cropped."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainer.data.picture import ShotWindow
from trainer.frontend.windows import uniform
from trainer.recipe import Recipe
from trainer.shards.records import FPS

SAMPLES_A_TICK = 1920
"""48 kHz ÷ 25: a window begins with a picture, and its sound at the very sample."""


class ClipShape(NamedTuple):
    """Sizes of a batch's parts, from the recipe."""

    frames: int
    size: int
    ticks: np.ndarray
    """int ``[frames]``, from a window's first picture, at 25 a second."""
    length: int
    """Pictures that a window spans: the longer of picture and sound."""
    short_side: tuple[int, int]
    channels: int
    samples: int
    """Of a window, at 48 kHz."""
    sample_rate: int


def shape_of(recipe: Recipe) -> ClipShape:
    """Sizes that the recipe asks for; frames are spread over the window as the reference does it."""
    video, audio = recipe.video, recipe.audio
    at_rate = uniform(max(1, round(video.seconds * video.fps)), video.frames)
    # At a lower rate than the shards' a picture is the last one shown at its time.
    ticks = np.floor(at_rate * (FPS / video.fps) + 1e-6).astype(np.int64)
    samples = round(audio.seconds * FPS * SAMPLES_A_TICK)
    length = max(int(np.ceil(video.seconds * FPS - 1e-6)), -(-samples // SAMPLES_A_TICK))
    return ClipShape(
        video.frames, video.size, ticks, length, video.short_side, audio.channels, samples, audio.sample_rate
    )


def random_window(
    shape: ClipShape, frames: int, random: np.random.Generator, start: int | None = None
) -> tuple[int, ShotWindow]:
    """First picture and window of a shot of ``frames`` pictures: place, scale and crop at random.

    ``start``: of a window that this one shares its place with.
    """
    at = int(random.integers(0, frames - shape.length + 1))
    at = at if start is None else start
    side = int(random.integers(shape.short_side[0], shape.short_side[1] + 1))
    across, down = random.random(2)
    return at, ShotWindow(at + shape.ticks, side, (float(across), float(down)))


def centre_window(shape: ClipShape, frames: int) -> tuple[int, ShotWindow]:
    """The middle of the shot, its short side at the smaller end of the range, the square in the middle."""
    at = (frames - shape.length) // 2
    return at, ShotWindow(at + shape.ticks, shape.short_side[0], (0.5, 0.5))
