"""From a file's decoded frames to the clips that it is embedded by: 16 frames of each window, five crops.

A plan is made from the frames' times alone; then the frames go by once, in order, and only those wanted are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from trainer.frontend.windows import CROP, SHORT_SIDE, five_crops, frames_of_clip, scaled_size, video_windows


class Window(NamedTuple):
    """One window of a picture, and which frames stand for it."""

    start: float
    """Seconds from the first frame."""
    end: float
    pts: tuple[int, ...]
    """Of its frames, in order; one may come more than once."""


def plan(
    pts: np.ndarray, time_base: Fraction, fps: float, *, seconds: float = 3.0, frames: int = 16, target: float = 25.0
) -> list[Window]:
    """Windows that cover a picture, each with the frames that it is encoded by.

    Args:
        pts: int64 ``[N]``, of all frames in the order shown, in units of ``time_base``; at least one.
        time_base: Seconds of one unit.
        fps: Rate that the file states; frames are laid on ``target`` a second by it, not by their times.
        seconds: Length of a window.
        frames: Taken from each.
        target: Frames a second that are laid out before ``frames`` are taken.
    """
    relative = pts - pts[0]
    windows = []
    for start, end in video_windows(float(relative[-1] * time_base), seconds):
        inside = pts[(relative >= int(start / time_base)) & (relative <= int(end / time_base))]
        chosen = inside[frames_of_clip(len(inside), fps, frames, target)]
        windows.append(Window(start, end, tuple(int(at) for at in chosen)))
    return windows


def clips(
    decoded: Iterable[tuple[int, np.ndarray]], windows: Sequence[Window], *, short: int = SHORT_SIDE, size: int = CROP
) -> Iterator[tuple[Window, np.ndarray]]:
    """Each window with its five crops, float32 ``[5, T, size, size, 3]`` in [0, 1], as :func:`crops` makes them.

    Args:
        decoded: Frames in the order shown: pts and uint8 ``[H, W, 3]``, RGB. For one that is missing the next stands
            in, at the end of the file the last; a window of which nothing was decoded is left out.
        windows: As :func:`plan` gives them, by their start.
        short: Length that the shorter side is scaled to, pixels.
        size: Side of a crop, pixels.
    """
    taken: list[list[torch.Tensor]] = [[] for _ in windows]
    first = 0
    for pts, frame in decoded:
        picture = None
        for window, parts in zip(windows[first:], taken[first:], strict=True):
            wanted = sum(at <= pts for at in window.pts[len(parts) :])
            if wanted:
                picture = scaled(frame, short) if picture is None else picture
                parts.extend([picture] * wanted)
        while first < len(windows) and len(taken[first]) == len(windows[first].pts):
            yield windows[first], crops(torch.stack(taken[first]), size)
            taken[first] = []
            first += 1
    for window, parts in zip(windows[first:], taken[first:], strict=True):
        if parts:
            parts.extend([parts[-1]] * (len(window.pts) - len(parts)))
            yield window, crops(torch.stack(parts), size)


def scaled(frame: np.ndarray, short: int = SHORT_SIDE) -> torch.Tensor:
    """uint8 ``[H, W, 3]`` to float32 ``[3, h, w]`` in [0, 1]; bilinear, half-pixel centres, no antialias."""
    picture = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
    size = scaled_size(frame.shape[0], frame.shape[1], short)
    return functional.interpolate(picture, size=size, mode="bilinear", align_corners=False)[0]


def crops(pictures: torch.Tensor, size: int = CROP) -> np.ndarray:
    """float32 ``[T, 3, h, w]`` to ``[5, T, size, size, 3]``: the four corners, then the centre."""
    corners = five_crops(pictures.shape[2], pictures.shape[3], size)
    parts = [pictures[:, :, top : top + size, left : left + size] for top, left in corners]
    return torch.stack(parts).permute(0, 1, 3, 4, 2).contiguous().numpy()
