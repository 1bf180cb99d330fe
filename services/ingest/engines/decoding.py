"""What shot detectors share: small frames of a file, decoded in the child process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shared.core.records import Probe
from shared.engines.protocols import EngineOptions
from shared.settings.models import LimitSettings

DIM, BLACK = 14.0, 4.0
"""Mean level (0–255) below which a fade may be under way, and which it must reach."""


def limits_of(options: EngineOptions) -> LimitSettings:
    """The limits that the stage passed on, else the defaults."""
    return LimitSettings.model_validate(options.extra.get("limits", {}))


def streams_of(options: EngineOptions) -> dict[str, Any]:
    """The streams that the stage passed on, for :class:`shared.media.probing.Wanted`."""
    return dict(options.extra.get("streams", {}))


def small_frames(
    path: Path, probe: Probe, max_pixels: int, width: int, height: int | None, form: str
) -> Iterator[tuple[float, np.ndarray[Any, Any]]]:
    """``(seconds on the file's clock, [height, width, 3] uint8)`` of every frame.

    Args:
        height: Kept in proportion when None.
        form: ``bgr24`` or ``rgb24``.
    """
    # PyAV is wanted by those who decode, not by those who list the engines.
    from shared.media.opened_file import open_media
    from shared.media.picture import frames
    from shared.media.probing import origin

    zero = origin(probe)
    with open_media(path) as container:
        for time, frame in frames(container, probe, max_pixels):
            tall = height or max(2, round(frame.height * width / frame.width))
            # Averages the pixels that become one, so that fine texture does not flicker.
            yield time + zero, frame.reformat(width, tall, form, interpolation="AREA").to_ndarray()
