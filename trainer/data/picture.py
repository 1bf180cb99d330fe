"""Frames of a shot's windows, decoded once for both, cropped before they are scaled."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from shared.core.errors import InputError
from trainer.shards.records import FPS

Beat = tuple[int, int]
"""Ticks at 25 a second in one unit of a stream's time, as a fraction."""


class Crop(NamedTuple):
    """A square of the source, pixels; all even, as the halved chroma planes ask."""

    x: int
    y: int
    side: int


class ShotWindow(NamedTuple):
    """What is wanted of a picture."""

    ticks: np.ndarray
    """int ``[T]``, frames at 25 a second, not decreasing."""
    short_side: int
    """That the picture is scaled to before a square is cut out of it."""
    place: tuple[float, float]
    """Of the square in the scaled picture, across and down: 0 the first edge, 1 the last."""


def crop_of(width: int, height: int, window: ShotWindow, size: int) -> Crop:
    """The square of the source that becomes the crop of ``size`` pixels of the scaled picture.

    Cut first and scaled then, it shows what the paper's scaling and cropping shows (Pretraining data), but for the
    rounding to whole even pixels.
    """
    short = min(width, height)
    side = min(short, size * short / window.short_side) // 2 * 2
    x, y = (round(share * (length - side) / 2) * 2 for share, length in zip(window.place, (width, height), strict=True))
    return Crop(min(x, int(width - side)), min(y, int(height - side)), int(side))


def decode_windows(data: bytes, windows: Sequence[ShotWindow], size: int) -> list[np.ndarray]:
    """Frames of some windows of one MP4, each frame decoded once.

    Args:
        data: A picture of a shard.
        size: Side of the squares, pixels.

    Returns:
        uint8 ``[T, size, size, 3]``, RGB, a window.

    Raises:
        InputError: ``bad_picture`` when a wanted frame cannot be decoded.
    """
    out = [np.empty((len(window.ticks), size, size, 3), np.uint8) for window in windows]
    scalers = [Scalers(VideoReformatter(), VideoReformatter()) for _ in windows]
    wanted = {int(tick) for window in windows for tick in window.ticks}
    crops: list[Crop] = []
    decoded = set()
    try:
        for tick, frame in wanted_frames(data, wanted):
            decoded.add(tick)
            crops = crops or [crop_of(frame.width, frame.height, window, size) for window in windows]
            for window, scaler, crop, pixels in zip(windows, scalers, crops, out, strict=True):
                places = np.flatnonzero(window.ticks == tick)
                if len(places):
                    pixels[places] = scaled(scaler, frame, crop, size)
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(f"The picture of a shard cannot be decoded: {error}.", code="bad_picture") from error
    if decoded != wanted:
        raise InputError(f"{len(wanted - decoded)} frames of a shard's picture cannot be decoded.", code="bad_picture")
    return out


def wanted_frames(data: bytes, wanted: set[int]) -> Iterator[tuple[int, Any]]:
    """``(tick, frame)`` of the wanted frames.

    Not decoded are groups of pictures without a wanted frame, what follows the last wanted one of a group, and other
    frames that none refers to.
    """
    with av.open(io.BytesIO(data), format="mov") as container:
        if not container.streams.video:
            raise InputError("A member of a shard holds no picture.", code="bad_picture")
        stream: Any = container.streams.video[0]
        context = stream.codec_context
        context.thread_count = 1
        beat = stream.time_base.numerator * FPS, stream.time_base.denominator
        skipping = False
        for group in needed(groups(container, stream), beat, wanted):
            for packet in group:
                skip = tick_of(packet, beat) not in wanted
                if skip != skipping:
                    context.skip_frame = "NONREF" if skip else "DEFAULT"
                    skipping = skip
                yield from chosen(packet.decode(), beat, wanted)
        yield from chosen(context.decode(None), beat, wanted)


def groups(container: Any, stream: Any) -> Iterator[list[Any]]:
    """Packets from one key frame to the next."""
    group: list[Any] = []
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if packet.is_keyframe and group:
            yield group
            group = []
        group.append(packet)
    if group:
        yield group


def needed(all_groups: Iterator[list[Any]], beat: Beat, wanted: set[int]) -> Iterator[list[Any]]:
    """Groups that hold wanted frames, each up to its last wanted one; stops behind the last of all."""
    left = len(wanted)
    for group in all_groups:
        places = [place for place, packet in enumerate(group) if tick_of(packet, beat) in wanted]
        if places:
            left -= len(places)
            yield group[: places[-1] + 1]
        if left <= 0:
            return


def chosen(frames: Sequence[Any], beat: Beat, wanted: set[int]) -> Iterator[tuple[int, Any]]:
    for frame in frames:
        tick = tick_of(frame, beat)
        if tick in wanted:
            yield tick, frame


def tick_of(timed: Any, beat: Beat) -> int:
    """The tick at 25 a second that is nearest to a packet or frame."""
    return -1 if timed.pts is None else (2 * timed.pts * beat[0] + beat[1]) // (2 * beat[1])


class Scalers(NamedTuple):
    """Keep what they worked out for the first frame of a window."""

    size: VideoReformatter
    colour: VideoReformatter


def scaled(scalers: Scalers, frame: Any, crop: Crop, size: int) -> np.ndarray:
    """uint8 ``[size, size, 3]`` of a yuv420p frame's square."""
    part = av.VideoFrame(crop.side, crop.side, frame.format.name)
    for source, target, halved in zip(frame.planes, part.planes, (1, 2, 2), strict=True):
        x, y, side = crop.x // halved, crop.y // halved, crop.side // halved
        lines = np.frombuffer(memoryview(source), np.uint8).reshape(-1, source.line_size)
        room = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
        room[:side, :side] = lines[y : y + side, x : x + side]
    # Scaling within YUV and converting then is three times as fast as both at once.
    small = scalers.size.reformat(part, size, size, interpolation="BILINEAR", threads=1)
    return scalers.colour.reformat(small, size, size, "rgb24", threads=1).to_ndarray()
