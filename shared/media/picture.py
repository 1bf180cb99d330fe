"""The picture: frames at their exact times, and one video file for every shot that is kept.

A shot's picture is encoded once and muxed with each of its tracks, so it is bit-identical in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from shared.core.records import Probe, Shot
from shared.media import child
from shared.media.grading import Grading
from shared.media.opened_file import Decoded, open_media, shows_in_order, video_stream
from shared.media.probing import check_pixels, origin
from shared.settings.models import LimitSettings

TICKS = 90_000
"""Time base of encoded pictures: holds every usual frame rate exactly, and any other to 0.01 ms."""

EARLY = 1e-4
"""Seconds by which a frame may precede a cut and still follow it: cuts pass through decimal text."""

QUALITY = {"crf": "20", "preset": "veryfast", "bf": "0", "g": "50"}
"""x264: visually clean; without B-frames decoding order is showing order and no time offset arises."""

MPEG_RANGE = 1

SLOWER_THAN_DECODING = 5
"""Encoding may take this many times the time allowed for decoding."""


def frames(container: Any, probe: Probe, max_pixels: int, threads: int = 2) -> Iterator[tuple[float, Any]]:
    """``(seconds on the title's clock, frame)``, strictly increasing; frames that cannot be decoded are left out.

    Times are the frames' own, also where the rate varies. A frame without a time follows the last by one average step.
    """
    stream = video_stream(container, probe.video.index)
    assert stream is not None
    stream.thread_type = "AUTO"
    stream.thread_count = threads
    zero, step, ordered = origin(probe), 1 / probe.video.fps, shows_in_order(container)
    first = probe.video.start - zero
    last, earliest = first - step, None
    for frame in Decoded(container, stream, probe.restarts):
        check_pixels(frame.width, frame.height, max_pixels)
        time = last + step
        if ordered and frame.dts is not None:
            earliest = frame.dts if earliest is None else earliest
            time = first + float((frame.dts - earliest) * frame.time_base)
        elif not ordered and frame.time is not None:
            time = frame.time - zero
        if time > last:
            last = time
            yield time, frame


def encode_picture(
    source: Path,
    probe: Probe,
    shots: Sequence[Shot],
    folder: Path,
    limits: LimitSettings | None = None,
    progress: child.Progress = child.ignore,
) -> dict[int, Path]:
    """Encode the picture of some shots in one pass over the file, in a child process.

    Args:
        shots: Those to keep, in order, disjoint; frames with ``start ≤ time < end`` belong to a shot.
        folder: Gets ``0003.mp4`` for shot 3: H.264, yuv420p, sizes even, rotation applied, no sound, time 0 = start.

    Returns:
        Files by shot index; a shot without a frame has none.

    Raises:
        InputError: ``decode_timeout``, ``decode_memory``, ``decode_crashed``, ``too_many_pixels``.
        StorageError: ``disk_full``.
    """
    limits = limits or LimitSettings()
    made = child.call(
        "shared.media.picture:encode",
        {
            "source": str(source),
            "probe": probe.model_dump(),
            "shots": [shot.model_dump() for shot in shots],
            "folder": str(folder),
            "max_pixels": limits.max_pixels,
        },
        timeout=SLOWER_THAN_DECODING * (limits.decode_timeout_factor * probe.duration + 60),
        progress=progress,
    )
    return {index: shot_file(folder, index) for index in made}


def shot_file(folder: Path, index: int) -> Path:
    return folder / f"{index:04d}.mp4"


def encode(
    source: str,
    probe: dict[str, Any],
    shots: list[dict[str, Any]],
    folder: str,
    max_pixels: int,
    progress: Callable[[float], None] = child.ignore,
) -> list[int]:
    """The child's part of :func:`encode_picture`: indices of the shots that got a file."""
    facts = Probe.model_validate(probe)
    todo = [Shot.model_validate(shot) for shot in shots]
    made: list[int] = []
    if not todo:
        return made
    writer: ShotWriter | None = None
    with open_media(Path(source)) as container:
        for time, frame in frames(container, facts, max_pixels):
            progress(min(1.0, time / max(todo[-1].end, 1e-3)))
            while todo and time >= todo[0].end - EARLY:
                todo.pop(0)
                if writer:
                    writer.close()
                    writer = None
            if not todo:
                break
            if time < todo[0].start - EARLY:
                continue
            if writer is None:
                writer = ShotWriter(
                    shot_file(Path(folder), todo[0].index), todo[0], facts, pixel_shape(container, facts)
                )
                made.append(todo[0].index)
            writer.add(time, frame)
    if writer:
        writer.close()
    return made


class ShotWriter:
    """One shot's picture on its way into an MP4."""

    def __init__(self, path: Path, shot: Shot, probe: Probe, shape: Fraction | None) -> None:
        self._shot = shot
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._encoder = PictureEncoder(self._container, probe, shape)

    def add(self, time: float, frame: Any) -> None:
        self._container.mux(self._encoder.encode(time - self._shot.start, frame))

    def close(self) -> None:
        self._container.mux(self._encoder.finish(self._shot.end - self._shot.start))
        self._container.close()


class PictureEncoder:
    """Turns decoded frames into packets of an upright H.264 stream with even sizes.

    Args:
        container: Output that gets the stream.
        found: Of the source.
        shape: Width ÷ height of a source's pixel, if it says so.
    """

    def __init__(self, container: Any, probe: Probe, shape: Fraction | None) -> None:
        self._stream = container.add_stream("libx264", rate=Fraction(probe.video.fps).limit_denominator(1001))
        self._stream.options = dict(QUALITY)
        self._shape = shape
        self._rotation = probe.video.rotation
        self._size: tuple[int, int] | None = None
        self._waiting: tuple[int, Any] | None = None
        self._durations: dict[int, int] = {}
        self._grading: Grading | None = None

    def encode(self, time: float, frame: Any) -> list[Any]:
        """Packets that are ready when a frame shown at ``time`` seconds is added."""
        if self._grading is None:
            self._grading = Grading(frame)
        return [packet for shown, graded in self._grading.push(time, frame) for packet in self._take(shown, graded)]

    def _take(self, time: float, frame: Any) -> list[Any]:
        pts = max(0, round(time * TICKS))
        if self._size is None:
            self._open(frame)
        ready = self._release(pts)
        self._waiting = (pts, frame)
        return ready

    def finish(self, end: float) -> list[Any]:
        """The remaining packets; the last frame is shown until ``end`` seconds."""
        held = self._grading.finish() if self._grading is not None else ()
        late = [packet for shown, graded in held for packet in self._take(shown, graded)]
        return [*late, *self._release(round(end * TICKS)), *self._timed(self._stream.encode(None))]

    def _open(self, frame: Any) -> None:
        # The size of the first frame holds; later frames of another size are scaled to it.
        self._size = frame.width & ~1 or 2, frame.height & ~1 or 2
        turned = self._rotation % 180 == 90
        context = self._stream.codec_context
        context.width, context.height = self._size[::-1] if turned else self._size
        context.pix_fmt = "yuv420p"
        # Players guess by the size where nothing is said, and a shot may be of another size than its film.
        context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
        context.colorspace, context.color_range = frame.colorspace, MPEG_RANGE
        context.time_base = Fraction(1, TICKS)
        context.thread_count = 2
        if self._shape:
            context.sample_aspect_ratio = 1 / self._shape if turned else self._shape

    def _release(self, until: int) -> list[Any]:
        if self._waiting is None:
            return []
        pts, frame = self._waiting
        self._waiting = None
        if until <= pts:
            return []
        assert self._size is not None
        upright = turn(frame.reformat(*self._size, format="yuv420p", dst_color_range="MPEG"), self._rotation)
        upright.pts, upright.time_base = pts, Fraction(1, TICKS)
        upright.pict_type = 0  # The source's key frames are not ours.
        self._durations[pts] = until - pts
        return self._timed(self._stream.encode(upright))

    def _timed(self, packets: list[Any]) -> list[Any]:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts)
        return packets


def pixel_shape(container: Any, probe: Probe) -> Fraction | None:
    """Width ÷ height of a pixel of the file's picture."""
    stream = video_stream(container, probe.video.index)
    return getattr(stream, "sample_aspect_ratio", None) or None


def turn(frame: Any, degrees: int) -> Any:
    """A yuv420p frame with even sizes turned clockwise by a multiple of 90 degrees."""
    times = round(degrees / 90) % 4
    if times == 0:
        return frame
    data, (height, width) = frame.to_ndarray(), (frame.height, frame.width)
    luma, chroma = data[:height], data[height:].reshape(2, height // 2, width // 2)
    turned = [np.rot90(plane, -times) for plane in (luma, *chroma)]
    flat = np.concatenate([np.ascontiguousarray(plane).ravel() for plane in turned])
    return av.VideoFrame.from_ndarray(flat.reshape(-1, turned[0].shape[1]), format="yuv420p")
