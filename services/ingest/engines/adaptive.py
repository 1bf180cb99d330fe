"""PySceneDetect's adaptive detector for cuts, and a detector of fades through black beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from services.ingest.engines.decoding import BLACK, DIM, limits_of, small_frames, streams_of
from shared.core.records import Probe
from shared.engines.protocols import EngineOptions, Licence, WeightFiles, missing
from shared.media import child

WIDTH = 256
"""Pixels that frames are scaled down to: PySceneDetect's own choice, and what its thresholds are made for."""

NEAR = 8
"""Frames around a dark stretch within which a cut already tells of it."""


class Adaptive:
    """Shot detector. Hard cuts by the adaptive detector of PySceneDetect, fades by their darkest moment.

    Dissolves from picture to picture are not found, and flashes are; the default ``transnetv2`` knows both.
    """

    name: ClassVar[str] = "adaptive"
    cpu_only: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("av", "scenedetect-headless")
    licence: ClassVar[Licence] = Licence("BSD-3-Clause", note="An algorithm; no weights.")

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ()

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        from importlib.util import find_spec

        if find_spec("scenedetect") is None:
            raise missing("shot_detector", self.name, ImportError(name="scenedetect"))
        self._limits, self._streams = limits_of(options), streams_of(options)

    def cuts(self, video: Path, progress: Callable[[float], None]) -> list[float]:
        """Times of camera changes, seconds on the file's own clock."""
        from shared.media.probing import Wanted, survey

        probe = survey(video, self._limits, progress, Wanted(**self._streams))
        times: list[float] = child.call(
            "services.ingest.engines.adaptive:find_cuts",
            {"path": str(video), "probe": probe.model_dump(), "max_pixels": self._limits.max_pixels},
            timeout=self._limits.decode_timeout_factor * probe.duration + 60,
            progress=progress,
        )
        return times


def find_cuts(
    path: str, probe: dict[str, Any], max_pixels: int, progress: Callable[[float], None] = child.ignore
) -> list[float]:
    """The child's part of :meth:`Adaptive.cuts`."""
    from scenedetect import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector

    facts = Probe.model_validate(probe)
    # Flashes are merged later, for every engine alike.
    detector = AdaptiveDetector(min_scene_len=1)
    times: list[float] = []
    levels: list[float] = []
    cuts: list[int] = []
    for index, (time, image) in enumerate(small_frames(Path(path), facts, max_pixels, WIDTH, None, "bgr24")):
        times.append(time)
        levels.append(float(image.mean()))
        # The detector counts frames; their times are looked up afterwards, so a varying rate does no harm.
        cuts += [code.frame_num for code in detector.process_frame(FrameTimecode(index, fps=25.0), image)]
        progress(min(1.0, (time - facts.video.start) / facts.video.duration))
    dark = fades(np.array(levels, np.float32), cuts)
    return [times[index] for index in sorted({*cuts, *dark}) if index > 0]


def fades(levels: np.ndarray, cuts: list[int]) -> list[int]:
    """Frame indices of the middle of the darkest moment of fades through black.

    Args:
        levels: Mean level of each frame, 0–255.
        cuts: Frame indices of hard cuts; a dark stretch that begins or ends with one is no fade.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], levels < DIM, [False])).astype(np.int8)))
    middles = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        inner = levels[start:end]
        whole = start > 0 and end < len(levels)
        at_cut = any(start - NEAR <= cut <= end + NEAR for cut in cuts)
        if whole and not at_cut and inner.min() < BLACK:
            darkest = np.flatnonzero(inner <= inner.min() + 0.5)
            middles.append(start + int(darkest[0] + darkest[-1] + 1) // 2)
    return middles
