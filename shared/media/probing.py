"""What a file holds, found by reading every packet and decoding the first frames: headers are not believed."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.core.errors import InputError
from shared.core.records import AudioStream, Probe, Restart, VideoStream
from shared.media import child
from shared.media.clock_restarts import Restarts
from shared.media.grading import HDR
from shared.media.opened_file import Decoded, open_media, packets, read_head, refuse_scripts, shows_in_order
from shared.media.stream_choice import Choice, choose, language_of
from shared.settings.models import LimitSettings

SLOWEST_BYTES_PER_SECOND = 10e6
"""A disk slower than this may time out on large files."""

SHORTEST = 0.02
"""Seconds of picture below which a file is no video."""

BYTES_AT_ONCE = 2**20


class Wanted(NamedTuple):
    """What is known of the streams that are meant, before the file is looked at."""

    language: str | None = None
    """What the film speaks, ISO 639-1."""
    video_stream: int | None = None
    audio_stream: int | None = None


def probe(
    path: Path,
    limits: LimitSettings | None = None,
    progress: child.Progress = child.ignore,
    wanted: Wanted = Wanted(),  # noqa: B008 - a tuple
) -> Probe:
    """Look at a submitted file in a child process.

    Times are seconds on the file's own clock; subtract :func:`origin` for the title's. A file without sound passes
    with ``audio=None``.

    Raises:
        InputError: ``unreadable``, ``empty_file``, ``disguised_playlist``, ``not_a_video``, ``truncated``,
            ``no_video_stream``, ``no_such_stream``, ``too_large``, ``too_long``, ``too_many_pixels``,
            ``too_many_channels``, ``decode_timeout``, ``decode_memory`` or ``decode_crashed``.
    """
    surveyed = survey(path, limits or LimitSettings(), progress, wanted)
    return surveyed.model_copy(update={"sha256": sha256(path, progress)})


def survey(
    path: Path,
    limits: LimitSettings,
    progress: child.Progress = child.ignore,
    wanted: Wanted = Wanted(),  # noqa: B008 - a tuple
) -> Probe:
    """:func:`probe` without the hash."""
    refuse_scripts(read_head(path))
    size = path.stat().st_size
    if size > limits.max_bytes:
        raise InputError(
            f"The file has {size:,} bytes; limits.max_bytes allows {limits.max_bytes:,}.", code="too_large", bytes=size
        )
    facts = child.call(
        "shared.media.probing:examine",
        {"path": str(path), "max_pixels": limits.max_pixels, **wanted._asdict()},
        timeout=limits.probe_timeout_s + size / SLOWEST_BYTES_PER_SECOND,
        progress=progress,
    )
    surveyed = Probe.model_validate({**facts, "size_bytes": size, "sha256": ""})
    check_limits(surveyed, limits)
    return surveyed


def origin(media: Probe) -> float:
    """The title's zero on the file's own clock, seconds: the earliest start of the two streams."""
    return min(media.video.start, media.audio.start) if media.audio else media.video.start


def length(video: VideoStream, audio: AudioStream | None) -> float:
    """Seconds from the earliest start to the latest end."""
    streams = [stream for stream in (video, audio) if stream]
    return max(s.start + s.duration for s in streams) - min(s.start for s in streams)


def check_limits(media: Probe, limits: LimitSettings) -> None:
    """Hold what was found against the limits."""
    if media.duration > limits.max_seconds:
        raise InputError(
            f"The video lasts {media.duration:.0f} s; limits.max_seconds allows {limits.max_seconds:.0f}.",
            code="too_long",
            seconds=media.duration,
        )
    check_pixels(media.video.width, media.video.height, limits.max_pixels)
    if media.audio and media.audio.channels > limits.max_audio_channels:
        raise InputError(
            f"The sound has {media.audio.channels} channels; limits.max_audio_channels allows "
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


def examine(
    path: str,
    max_pixels: int,
    progress: Callable[[float], None] = child.ignore,
    language: str | None = None,
    video_stream: int | None = None,
    audio_stream: int | None = None,
) -> dict[str, Any]:
    """The child's part of :func:`probe`: JSON-able fields of :class:`Probe` except size and hash."""
    file = Path(path)
    choice = choose(file, language, video_stream, audio_stream)
    notes = list(choice.notes)
    first_video, first_audio = first_frames(file, max_pixels, choice)
    seen = survey_packets(file, choice, first_video, first_audio, (), progress)
    if seen.restarts:
        count = f"{len(seen.restarts)} times" if len(seen.restarts) > 1 else "once"
        notes.append(f"The file's clock begins again {count}; what follows was joined to what came before.")
        joined = survey_packets(file, choice, first_video, first_audio, seen.restarts, progress)
        seen = joined._replace(restarts=seen.restarts)
    if seen.video.duration < SHORTEST:
        raise InputError("Hardly any picture of this file can be read: it is cut short.", code="truncated")
    if seen.hidden > SHORTEST:
        notes.append(
            f"The file hides {seen.hidden:.2f} s of its picture (edit list), which are left out as players do."
        )
    if seen.video.interlaced:
        notes.append("The picture is interlaced; its fields are put together where it is encoded anew (shots).")
    if seen.video.hdr:
        notes.append(
            f"The picture is HDR ({seen.video.hdr}); it is tone-mapped where it is encoded anew in 8 bit (shots)."
        )
    return {
        "container": seen.container,
        "duration": length(seen.video, seen.audio),
        "video": seen.video.model_dump(),
        "audio": seen.audio.model_dump() if seen.audio else None,
        "restarts": [one.model_dump() for one in seen.restarts],
        "hidden": seen.hidden,
        "notes": notes,
    }


class Seen(NamedTuple):
    """What reading all packets of a file has shown."""

    container: str
    video: VideoStream
    audio: AudioStream | None
    hidden: float
    """Seconds of picture that no player shows."""
    restarts: list[Restart]


def survey_packets(
    path: Path,
    choice: Choice,
    first_video: Any,
    first_audio: Any,
    restarts: Sequence[Restart],
    progress: child.Progress,
) -> Seen:
    """Read the packets of the chosen streams, on one clock."""
    with open_media(path) as container:
        assert choice.video is not None
        picture = container.streams[choice.video]
        sound = container.streams[choice.audio] if choice.audio is not None and first_audio is not None else None
        ordered = shows_in_order(container)
        chosen = [stream for stream in (picture, sound) if stream is not None]
        times = {stream.index: Times(stream, ordered) for stream in chosen}
        watch = Restarts(container.format.name)
        for packet in packets(container, *chosen, restarts=restarts):
            times[packet.stream.index].add(packet)
            watch.add(packet)
            progress(0.0)
        video = describe_video(picture, first_video, times[picture.index])
        audio = describe_audio(sound, first_audio, times[sound.index]) if sound is not None else None
        return Seen(container.format.name, video, audio, times[picture.index].hidden, watch.list_restarts())


def first_frames(path: Path, max_pixels: int, choice: Choice) -> tuple[Any, Any]:
    """The first picture and the first sound (None without) that can be decoded."""
    with open_media(path) as container:
        if choice.video is None:
            raise InputError("The file has no picture, only sound or data.", code="no_video_stream")
        picture: Any = container.streams[choice.video]
        # Before decoding: a frame of absurd size is memory asked for.
        check_pixels(picture.codec_context.width, picture.codec_context.height, max_pixels)
        frame = next(Decoded(container, picture), None)
    if frame is None:
        raise InputError("No picture of this file can be decoded: it is cut short or damaged.", code="truncated")
    if choice.audio is None:
        return frame, None
    with open_media(path) as container:
        heard = next(Decoded(container, container.streams[choice.audio]), None)
    return frame, heard


class Times:
    """Presentation times of a stream's packets, in ticks of its time base."""

    def __init__(self, stream: Any, ordered: bool) -> None:
        self.base = float(stream.time_base)
        self._ordered = ordered
        self._shown = array("q")
        self._end = -(2**62)
        self._hidden = 0

    def add(self, packet: Any) -> None:
        time = packet.dts if self._ordered or packet.pts is None else packet.pts
        if time is None or packet.size == 0:
            return
        if packet.is_discard:
            self._hidden += packet.duration or 0
            return
        self._shown.append(time)
        self._end = max(self._end, time + (packet.duration or 0))

    def seconds(self) -> np.ndarray:
        """Sorted times, seconds."""
        return np.unique(np.frombuffer(self._shown, dtype=np.int64)) * self.base

    @property
    def hidden(self) -> float:
        """Seconds of what no player shows."""
        return self._hidden * self.base

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
        index=stream.index,
        codec=stream.codec_context.name,
        width=first.width,
        height=first.height,
        rotation=-first.rotation % 360,
        fps=len(shown) / (end - start),
        variable_frame_rate=varying,
        interlaced=bool(first.interlaced_frame),
        hdr=HDR.get(int(first.color_trc)),
        start=start,
        duration=end - start,
    )


def describe_audio(stream: Any, first: Any, times: Times) -> AudioStream:
    start = first.time if first.time is not None else 0.0
    return AudioStream(
        index=stream.index,
        codec=stream.codec_context.name,
        sample_rate=first.sample_rate,
        channels=first.layout.nb_channels,
        layout=first.layout.name,
        start=start,
        duration=max(times.end - start, first.samples / first.sample_rate),
        language=language_of(stream),
    )
