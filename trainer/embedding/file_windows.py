"""The windows of a file, decoded and cut as an encoder takes them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from shared.core.errors import InputError
from shared.media import child
from shared.settings.models import LimitSettings
from trainer.embedding.decoding import Facts, frames, look
from trainer.frontend.clips import Window, clips, plan
from trainer.frontend.windows import CROP, SHORT_SIDE, audio_windows
from trainer.recipe import Recipe

SPAN_BYTES = 2**28
"""Of decoded frames that lie on the disk at a time."""
SPAN_WINDOWS = 16
"""That one child decodes at most."""


class Cut(NamedTuple):
    """A window of one stream."""

    stream: Literal["audio", "video"]
    start: float
    """Seconds since the earliest start of sound and picture."""
    end: float
    data: np.ndarray
    """Sound: float32 ``[N]``, N at most a window. Picture: five crops, float32 ``[5, T, S, S, 3]`` in 0 to 1."""


def windows(
    path: Path,
    recipe: Recipe,
    streams: set[str],
    limits: LimitSettings | None = None,
    progress: child.Progress = child.ignore,
) -> Iterator[Cut]:
    """All windows of a file, first those of its sound: the rules are :mod:`trainer.frontend.windows`'.

    Args:
        path: A sound file or a video.
        recipe: Whose windows, sample rate, frames and crops.
        streams: ``audio``, ``video`` or both: what the encoder has towers for.
        limits: What the file may ask of the machine.
        progress: Called while a child decodes; may raise to stop.

    Raises:
        InputError: As :func:`trainer.embedding.decoding.look` and ``frames`` have them, and ``nothing_to_embed``.
    """
    limits = limits or LimitSettings()
    with tempfile.TemporaryDirectory(prefix="counterdub-") as name:
        folder = Path(name)
        facts = look(path, folder, recipe.audio.sample_rate, limits, progress)
        sound, picture = facts.samples > 0 and "audio" in streams, facts.fps > 0 and "video" in streams
        if not sound and not picture:
            missing = " and ".join(sorted(streams))
            raise InputError(f"The file has nothing that this encoder takes ({missing}).", code="nothing_to_embed")
        if sound:
            yield from sounds(folder, facts, recipe)
        if picture:
            yield from pictures(path, folder, facts, recipe, limits, progress)


def sounds(folder: Path, facts: Facts, recipe: Recipe) -> Iterator[Cut]:
    wave = np.memmap(folder / "sound.f32", "<f4", "r", shape=(facts.samples,))
    rate = recipe.audio.sample_rate
    for start, end in audio_windows(facts.samples, rate, recipe.audio.seconds):
        yield Cut("audio", start / rate, end / rate, np.array(wave[start:end], np.float32))


def pictures(
    path: Path, folder: Path, facts: Facts, recipe: Recipe, limits: LimitSettings, progress: child.Progress
) -> Iterator[Cut]:
    video = recipe.video
    planned = plan(
        np.fromfile(folder / "ticks.i64", "<i8"),
        Fraction(*facts.time_base),
        facts.fps,
        seconds=video.seconds,
        frames=video.frames,
        target=video.fps,
    )
    short = round(video.size * SHORT_SIDE / CROP)
    for span in spans(planned, facts.size[0] * facts.size[1] * 3):
        wanted = sorted({pts for window in span for pts in window.pts})
        decoded = frames(path, folder, facts, wanted, limits, progress)
        for window, crops in clips(zip(wanted, decoded, strict=True), span, short=short, size=video.size):
            yield Cut("video", facts.start + window.start, facts.start + window.end, crops)


def spans(planned: list[Window], frame_bytes: int) -> Iterator[list[Window]]:
    """Windows in runs that are decoded together."""
    count = SPAN_BYTES // (frame_bytes * max(len(window.pts) for window in planned))
    count = max(1, min(count, SPAN_WINDOWS))
    for first in range(0, len(planned), count):
        yield planned[first : first + count]
