"""Members of one shot: a picture that decodes fast, and tracks of equal length."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soundfile as sf

from shared.core.errors import InputError
from shared.core.records import SAMPLE_RATE
from shared.media.picture import turn
from trainer.shards.records import FPS

SHORT_SIDE = 320
"""Pixels that the short side is scaled to; smaller pictures stay as they are (paper: scaled to 256–320 at random)."""

X264 = {
    "preset": "veryfast",
    "crf": "22",
    "tune": "fastdecode",
    "x264-params": "keyint=25:bframes=4:b-adapt=0:b-pyramid=0:threads=1",
}
"""A key frame a second at least, and four frames of five that no other refers to: for 16 frames of 3 s a reader decodes
about 30 instead of 75, each without CABAC and deblocking. Twice as fast as the preset alone (tests/benchmarks)."""

EARLY = 1e-4
"""Seconds by which a frame may follow its tick and still stand for it: times pass through decimal text."""


def on_grid(frames: Iterable[tuple[float, Any]], count: int) -> Iterator[Any]:
    """``count`` frames at 25 a second: at each tick the one that a player would show.

    Args:
        frames: ``(seconds, frame)``, increasing; what is shown before the first is the first itself.

    Raises:
        InputError: ``no_frames``.
    """
    shown, tick = None, 0
    for time, frame in frames:
        while shown is not None and tick < count and tick / FPS < time - EARLY:
            yield shown
            tick += 1
        if tick >= count:
            return
        shown = frame
    if shown is None:
        raise InputError("The shot holds no picture that can be decoded.", code="no_frames")
    for _ in range(tick, count):
        yield shown


def scaled_size(width: int, height: int, shape: Fraction | None = None) -> tuple[int, int]:
    """Even width and height with square pixels and a short side of at most :data:`SHORT_SIDE`.

    ``shape`` is the width ÷ height of the source's pixel.
    """
    wide = width * float(shape or 1)
    scale = min(1.0, SHORT_SIDE / min(wide, height))
    return max(2, 2 * round(wide * scale / 2)), max(2, 2 * round(height * scale / 2))


def encode_picture(frames: Iterable[Any], shape: Fraction | None = None, rotation: int = 0) -> bytes:
    """An MP4 of frames at 25 a second: H.264, yuv420p, no sound, upright, square pixels.

    Args:
        frames: ``av.VideoFrame`` of any size and format; the first decides the size.
        shape: Width ÷ height of a pixel.
        rotation: Degrees clockwise that a player turns the picture by.
    """
    out = io.BytesIO()
    # Without the version of the muxer and encoder in it, and without times.
    options = {"fflags": "+bitexact"}
    with av.open(out, "w", format="mp4", options=options) as container:
        stream: Any = container.add_stream("libx264", rate=FPS)
        stream.options = dict(X264)
        size = (0, 0)
        for number, frame in enumerate(frames):
            if number == 0:
                size = scaled_size(frame.width, frame.height, shape)
                turned = rotation % 180 == 90
                stream.codec_context.width, stream.codec_context.height = size[::-1] if turned else size
                stream.codec_context.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
            small = frame.reformat(*size, format="yuv420p", interpolation="AREA", dst_color_range="MPEG", threads=1)
            upright = turn(small, rotation)
            upright.pts, upright.time_base, upright.pict_type = number, Fraction(1, FPS), 0
            container.mux(stream.encode(upright))
        container.mux(stream.encode(None))
    return out.getvalue()


def encode_sound(audio: np.ndarray) -> bytes:
    """``[channels, samples]`` float32 at 48 kHz as 16-bit FLAC, rounded and clipped alike for every track."""
    steps = np.clip(np.rint(audio.astype(np.float64) * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    out = io.BytesIO()
    sf.write(out, np.ascontiguousarray(steps.T), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def fit(audio: np.ndarray, samples: int) -> np.ndarray:
    """``[channels, samples]``: cut, or filled with silence."""
    return np.pad(audio[:, :samples], ((0, 0), (0, max(0, samples - audio.shape[1]))))
