"""What a file holds, found by reading every packet and decoding the first frames: headers are not believed."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shared import languages
from shared.errors import InputError, UsageError
from shared.media import child
from shared.media.opening import (
    Decoded,
    audio_stream,
    open_media,
    packets,
    read_head,
    refuse_scripts,
    shows_in_order,
    video_stream,
)
from shared.records import AudioStream, Probe, VideoStream
from shared.settings import LimitSettings

SLOWEST_BYTES_PER_SECOND = 10e6
"""A disk slower than this may time out on large files."""

SHORTEST = 0.02
"""Seconds of picture below which a file is no video."""

BYTES_AT_ONCE = 2**20


def probe(path: Path, limits: LimitSettings | None = None, progress: child.Progress = child.ignore) -> Probe:
    """Look at a submitted file in a child process.

    Times are seconds on the file's own clock; subtract :func:`origin` for the title's. A file without sound passes
    with ``audio=None``.

    Raises:
        InputError: ``unreadable``, ``empty_file``, ``disguised_playlist``, ``not_a_video``, ``truncated``,
            ``no_video_stream``, ``too_large``, ``too_long``, ``too_many_pixels``, ``too_many_channels``,
            ``decode_timeout``, ``decode_memory`` or ``decode_crashed``.
    """
    found = survey(path, limits or LimitSettings(), progress)
    return found.model_copy(update={"sha256": sha256(path, progress)})


def survey(path: Path, limits: LimitSettings, progress: child.Progress = child.ignore) -> Probe:
    """:func:`probe` without the hash."""
    refuse_scripts(read_head(path))
    size = path.stat().st_size
    if size > limits.max_bytes:
        raise InputError(
            f"The file has {size:,} bytes; limits.max_bytes allows {limits.max_bytes:,}.", code="too_large", bytes=size
        )
    facts = child.call(
        "shared.media.probing:examine",
        {"path": str(path), "max_pixels": limits.max_pixels},
        timeout=limits.probe_timeout_s + size / SLOWEST_BYTES_PER_SECOND,
        progress=progress,
    )
    found = Probe.model_validate({**facts, "size_bytes": size, "sha256": ""})
    check(found, limits)
    return found


def origin(found: Probe) -> float:
    """The title's zero on the file's own clock, seconds: the earliest start of the two streams."""
    return min(found.video.start, found.audio.start) if found.audio else found.video.start


def length(video: VideoStream, audio: AudioStream | None) -> float:
    """Seconds from the earliest start to the latest end."""
    streams = [stream for stream in (video, audio) if stream]
    return max(s.start + s.duration for s in streams) - min(s.start for s in streams)


def check(found: Probe, limits: LimitSettings) -> None:
    """Hold what was found against the limits."""
    if found.duration > limits.max_seconds:
        raise InputError(
            f"The video lasts {found.duration:.0f} s; limits.max_seconds allows {limits.max_seconds:.0f}.",
            code="too_long",
            seconds=found.duration,
        )
    check_pixels(found.video.width, found.video.height, limits.max_pixels)
    if found.audio and found.audio.channels > limits.max_audio_channels:
        raise InputError(
            f"The sound has {found.audio.channels} channels; limits.max_audio_channels allows "
            f"{limits.max_audio_channels}.",
            code="too_many_channels",
        )


def check_pixels(width: int, height: int, most: int) -> None:
    if width * height > most:
        raise InputError(
            f"The picture has {width} × {height} pixels; limits.max_pixels allows {most:,}.", code="too_many_pixels"
        )


def sha256(path: Path, progress: child.Progress = child.ignore) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BYTES_AT_ONCE):
            digest.update(block)
            progress(0.0)
    return digest.hexdigest()


def examine(path: str, max_pixels: int, progress: Callable[[float], None] = child.ignore) -> dict[str, Any]:
    """The child's part of :func:`probe`: JSON-able fields of :class:`Probe` except size and hash."""
    file = Path(path)
    first_video, first_audio = first_frames(file, max_pixels)
    with open_media(file) as container:
        picture, sound = video_stream(container), audio_stream(container) if first_audio else None
        assert picture is not None
        ordered = shows_in_order(container)
        times = {stream.index: Times(stream, ordered) for stream in (picture, sound) if stream is not None}
        for packet in packets(container, *(stream for stream in (picture, sound) if stream is not None)):
            times[packet.stream_index].add(packet)
            progress(0.0)
        video = describe_video(picture, first_video, times[picture.index])
        audio = describe_audio(sound, first_audio, times[sound.index]) if sound is not None and first_audio else None
        if video.duration < SHORTEST:
            raise InputError("Hardly any picture of this file can be read: it is cut short.", code="truncated")
        return {
            "container": container.format.name,
            "duration": length(video, audio),
            "video": video.model_dump(),
            "audio": audio.model_dump() if audio else None,
        }


def first_frames(path: Path, max_pixels: int) -> tuple[Any, Any]:
    """The first picture and the first sound (None without) that can be decoded."""
    with open_media(path) as container:
        picture = video_stream(container)
        if picture is None:
            raise InputError("The file has no picture, only sound or data.", code="no_video_stream")
        # Before decoding: a frame of absurd size is memory asked for.
        check_pixels(picture.codec_context.width, picture.codec_context.height, max_pixels)
        frame = next(Decoded(container, picture), None)
    if frame is None:
        raise InputError("No picture of this file can be decoded: it is cut short or damaged.", code="truncated")
    with open_media(path) as container:
        sound = audio_stream(container)
        heard = next(Decoded(container, sound), None) if sound is not None else None
    return frame, heard


class Times:
    """Presentation times of a stream's packets, in ticks of its time base."""

    def __init__(self, stream: Any, ordered: bool) -> None:
        self.base = float(stream.time_base)
        self._ordered = ordered
        self._shown = array("q")
        self._end = -(2**62)

    def add(self, packet: Any) -> None:
        time = packet.dts if self._ordered or packet.pts is None else packet.pts
        if time is None or packet.size == 0 or packet.is_discard:
            return
        self._shown.append(time)
        self._end = max(self._end, time + (packet.duration or 0))

    def seconds(self) -> np.ndarray:
        """Sorted times, seconds."""
        return np.unique(np.frombuffer(self._shown, dtype=np.int64)) * self.base

    @property
    def end(self) -> float:
        """Seconds; the last packet's own duration included where it is given."""
        return self._end * self.base


def describe_video(stream: Any, first: Any, times: Times) -> VideoStream:
    shown = times.seconds()
    start = min(float(shown[0]), first.time) if first.time is not None else float(shown[0])
    steps = np.diff(shown)
    rate = float(stream.average_rate or stream.base_rate or 25)
    step = float(np.median(steps)) if len(steps) else 1 / rate
    end = max(times.end, float(shown[-1]) + step)
    # Containers round times to a millisecond or a tick: only more than that is a varying rate.
    varying = bool(len(steps) and np.ptp(steps) > max(0.25 * step, 2.5e-3, 2 * times.base))
    return VideoStream(
        codec=stream.codec_context.name,
        width=first.width,
        height=first.height,
        rotation=-first.rotation % 360,
        fps=len(shown) / (end - start),
        variable_frame_rate=varying,
        start=start,
        duration=end - start,
    )


def describe_audio(stream: Any, first: Any, times: Times) -> AudioStream:
    start = first.time if first.time is not None else 0.0
    return AudioStream(
        codec=stream.codec_context.name,
        sample_rate=first.sample_rate,
        channels=first.layout.nb_channels,
        layout=first.layout.name,
        start=start,
        duration=max(times.end - start, first.samples / first.sample_rate),
        language=language_of(stream),
    )


def language_of(stream: Any) -> str | None:
    """ISO 639-1 code of a stream's tag, if it names a language."""
    try:
        return languages.code(stream.metadata.get("language", ""))
    except UsageError:
        return None
