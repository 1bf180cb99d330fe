"""A file's sound and the frames of its windows, decoded in a child process.

What a decoder of an untrusted file makes comes back as raw numbers in a folder. The child looks at the whole file once
and writes its sound; frames are asked for in spans of windows, so that neither memory nor disk grows with a film.
Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soxr

from shared.core.errors import InputError
from shared.core.records import Restart
from shared.media import child
from shared.media.clock_restarts import Restarts
from shared.media.opened_file import Decoded, open_media, packets, shows_in_order, video_stream
from shared.media.probing import Times, check_pixels
from shared.media.sound import TIMELINE_SLACK, Timeline
from shared.media.stream_choice import Choice, choose
from shared.settings.models import LimitSettings

SLOWEST_BYTES_PER_SECOND = 1e6
"""Of a file whose sound is decoded; a slower one is given up."""


class Facts(NamedTuple):
    """What a file holds."""

    samples: int
    """Of ``sound.f32``, mono float32; 0 without sound."""
    fps: float
    """Of the picture; 0 without one."""
    size: Sequence[int]
    """Height and width of an upright frame."""
    time_base: Sequence[int]
    """Numerator and denominator of a tick of the picture, seconds."""
    start: float
    """Of the picture, seconds after the beginning of the sound; below 0 never: then the sound begins with silence."""
    delay: int
    """Ticks that a frame's decoding time is ahead of when it is shown; only for AVI, whose frames have no other."""
    picture: int | None = None
    """Index of the picture's stream."""
    restarts: Sequence[dict[str, Any]] = ()
    """Where the file's clock begins again, as :class:`~shared.core.records.Restart`."""


NO_PICTURE = {"fps": 0.0, "size": (0, 0), "time_base": (1, 1), "start": 0.0, "delay": 0}


def look(path: Path, folder: Path, sample_rate: int, limits: LimitSettings, progress: child.Progress) -> Facts:
    """Decode the sound to ``folder/sound.f32`` and note when frames are shown, in ticks, in ``folder/ticks.i64``.

    Raises:
        InputError: ``unreadable``, ``empty_file``, ``disguised_playlist``, ``truncated``, ``not_media``, ``too_large``,
            ``too_long``, ``too_many_pixels``, ``too_many_channels``, ``decode_timeout``, ``decode_memory``,
            ``decode_crashed``.
        StorageError: ``disk_full``.
    """
    size = path.stat().st_size if path.is_file() else 0
    if size > limits.max_bytes:
        raise InputError(f"The file has {size:,} bytes; {limits.max_bytes:,} are allowed.", code="too_large")
    try:
        facts = child.call(
            "trainer.embedding.decoding:look_here",
            {
                "path": str(path),
                "folder": str(folder),
                "sample_rate": sample_rate,
                "max_pixels": limits.max_pixels,
                "max_seconds": limits.max_seconds,
                "max_channels": limits.max_audio_channels,
            },
            timeout=limits.probe_timeout_s + 60 + size / SLOWEST_BYTES_PER_SECOND,
            progress=progress,
        )
    except InputError as error:
        if error.code != "not_a_video":
            raise
        raise InputError("The file is neither a video nor a sound that is known here.", code="not_media") from error
    return Facts(**facts)


def look_here(
    path: str,
    folder: str,
    sample_rate: int,
    max_pixels: int,
    max_seconds: float,
    max_channels: int,
    progress: Callable[[float], None] = child.ignore,
) -> dict[str, Any]:
    """The child's part of :func:`look`."""
    file, place = Path(path), Path(folder)
    choice = choose(file)
    picture, heard = first_picture(file, max_pixels, choice), first_sound(file, max_channels, choice)
    restarts = clock_of(file, choice, progress)
    if picture is None and heard is None:
        raise InputError("The file holds neither picture nor sound that can be decoded.", code="not_media")
    facts = NO_PICTURE
    zero, latest = (heard.time or 0.0) if heard is not None else 0.0, max_seconds
    if picture is not None:
        ticks, base, fps, ordered = frame_ticks(file, picture, choice, restarts, progress)
        begin = float(ticks[0] * base)
        zero = min(zero, begin) if heard is not None else begin
        lasts = float((ticks[-1] - ticks[0]) * base)
        if lasts > max_seconds:
            raise InputError(f"The picture lasts {lasts:.0f} s; {max_seconds:.0f} are allowed.", code="too_long")
        latest = min(max_seconds, begin - zero + lasts + TIMELINE_SLACK)
        ticks.astype("<i8").tofile(place / "ticks.i64")
        facts = {
            "fps": fps,
            "size": upright(picture),
            "time_base": (base.numerator, base.denominator),
            "start": begin - zero,
            "delay": (picture.dts or 0) - int(ticks[0]) if ordered else 0,
            "picture": choice.video,
            "restarts": [one.model_dump() for one in restarts],
        }
    sound = place / "sound.f32"
    samples = 0
    if heard is not None:
        samples = write_sound(file, sound, heard, SoundSpan(choice, restarts, zero, latest), sample_rate, progress)
    return {"samples": samples, **facts}


def clock_of(path: Path, choice: Choice, progress: child.Progress) -> list[Restart]:
    """Where the clock of the chosen streams begins again."""
    with open_media(path) as container:
        watch = Restarts(container.format.name)
        chosen = [container.streams[index] for index in (choice.video, choice.audio) if index is not None]
        for packet in packets(container, *chosen) if watch.watching else ():
            watch.add(packet)
            progress(0.0)
        return watch.list_restarts()


def first_picture(path: Path, max_pixels: int, choice: Choice) -> Any | None:
    with open_media(path) as container:
        if choice.video is None:
            return None
        stream: Any = container.streams[choice.video]
        check_pixels(stream.codec_context.width, stream.codec_context.height, max_pixels)
        return next(Decoded(container, stream), None)


def first_sound(path: Path, max_channels: int, choice: Choice) -> Any | None:
    with open_media(path) as container:
        frame = next(Decoded(container, container.streams[choice.audio]), None) if choice.audio is not None else None
    if frame is not None and frame.layout.nb_channels > max_channels:
        raise InputError(
            f"The sound has {frame.layout.nb_channels} channels; {max_channels} are allowed.", code="too_many_channels"
        )
    return frame


def upright(frame: Any) -> tuple[int, int]:
    """Height and width of a frame as it is shown."""
    return (frame.width, frame.height) if frame.rotation % 180 else (frame.height, frame.width)


def frame_ticks(
    path: Path, first: Any, choice: Choice, restarts: Sequence[Restart], progress: child.Progress
) -> tuple[np.ndarray, Fraction, float, bool]:
    """When frames are shown, int64 rising; seconds of a tick; frames a second; whether these are decoding times."""
    with open_media(path) as container:
        assert choice.video is not None
        stream: Any = container.streams[choice.video]
        base, rate, ordered = stream.time_base, stream.average_rate, shows_in_order(container)
        times = Times(stream, ordered)
        for packet in packets(container, stream, restarts=restarts):
            times.add(packet)
            progress(0.0)
        ticks = np.rint(times.seconds() / times.base).astype(np.int64)
    if not len(ticks):
        ticks = np.array([first.pts or 0], np.int64)
    steps = np.diff(ticks)
    return ticks, base, float(rate or (1 / (np.median(steps) * base) if len(steps) else 25)), ordered


class SoundSpan(NamedTuple):
    """Which part of a file's sound is read."""

    choice: Choice
    restarts: Sequence[Restart]
    zero: float
    """Time of the first sample, seconds."""
    latest: float


def write_sound(path: Path, out: Path, first: Any, span: SoundSpan, sample_rate: int, progress: child.Progress) -> int:
    """Mono float32 at ``sample_rate`` from the span's time zero on; returns the number of samples."""
    resampler = soxr.ResampleStream(first.sample_rate, sample_rate, 1, dtype="float32", quality="HQ")
    samples = 0
    with open_media(path) as container, out.open("wb") as file:
        assert span.choice.audio is not None
        decoded = Decoded(container, container.streams[span.choice.audio], span.restarts)
        line = Timeline(decoded, first.sample_rate, 1, span.zero, span.latest)

        def put(block: np.ndarray, last: bool = False) -> int:
            wave = resampler.resample_chunk(block[:, 0], last=last)
            file.write(wave.astype("<f4").tobytes())
            progress(0.0)
            return len(wave)

        for block in line.blocks():
            samples += put(block)
        return samples + put(np.zeros((0, 1), np.float32), last=True)


def frames(
    path: Path, folder: Path, facts: Facts, wanted: Sequence[int], limits: LimitSettings, progress: child.Progress
) -> np.ndarray:
    """Frames shown at the ticks ``wanted`` (rising, repeats allowed): uint8 ``[len(wanted), H, W, 3]``, RGB, upright.

    They are mapped from ``folder/frames.u8``, and gone with the next call. For a frame that cannot be decoded the last
    before it that can stands in, or the first after it.

    Raises:
        InputError: ``too_many_pixels``, ``truncated`` (no frame at all), ``decode_timeout``, ``decode_memory``,
            ``decode_crashed``.
        StorageError: ``disk_full``.
    """
    seconds = (wanted[-1] - wanted[0]) * facts.time_base[0] / facts.time_base[1]
    child.call(
        "trainer.embedding.decoding:frames_here",
        {
            "path": str(path),
            "out": str(folder / "frames.u8"),
            "facts": facts._asdict(),
            "wanted": [int(tick) for tick in wanted],
            "max_pixels": limits.max_pixels,
        },
        timeout=limits.decode_timeout_factor * seconds + 120,
        progress=progress,
    )
    return np.memmap(folder / "frames.u8", np.uint8, "c", shape=(len(wanted), *facts.size, 3))


def frames_here(
    path: str,
    out: str,
    facts: dict[str, Any],
    wanted: list[int],
    max_pixels: int,
    progress: Callable[[float], None] = child.ignore,
) -> None:
    """The child's part of :func:`frames`."""
    known = Facts(**facts)
    for seek in (True, False):
        if write_frames(Path(path), Path(out), known, wanted, seek, max_pixels, progress):
            return
    raise InputError("No picture of this part of the file can be decoded: it is damaged.", code="truncated")


def write_frames(
    path: Path, out: Path, facts: Facts, wanted: list[int], seek: bool, max_pixels: int, progress: child.Progress
) -> bool:
    """Whether decoding from a key frame before the first wanted one, or from the beginning, gave what is wanted."""
    shown: Any = None
    done = 0
    with open_media(path) as container, out.open("wb") as file:
        for tick, frame in frames_from(container, facts, wanted[0] if seek else None, max_pixels):
            if seek and shown is None and tick > wanted[0]:
                return False  # the file's index leads behind the place
            while done < len(wanted) and wanted[done] < tick:
                file.write(pixels(shown if shown is not None else frame, facts.size))
                done += 1
            if done == len(wanted):
                return True
            shown = frame
            progress(0.0)
        for _ in wanted[done:]:
            if shown is None:
                return False
            file.write(pixels(shown, facts.size))
    return True


def frames_from(container: Any, facts: Facts, begin: int | None, max_pixels: int) -> Iterator[tuple[int, Any]]:
    """``(tick, frame)`` from the last key frame before ``begin`` on, or from the beginning; ticks rise."""
    stream = video_stream(container, facts.picture)
    assert stream is not None
    restarts = [Restart.model_validate(one) for one in facts.restarts]
    stream.thread_type = "AUTO"
    stream.thread_count = 2
    ordered = shows_in_order(container)
    step = max(1, round(facts.time_base[1] / facts.time_base[0] / facts.fps))
    last: int | None = None
    if begin is not None and not restarts:
        try:
            container.seek(begin, stream=stream)
        except (av.error.FFmpegError, OverflowError):
            return
    for frame in Decoded(container, stream, restarts):
        check_pixels(frame.width, frame.height, max_pixels)
        tick = 0 if last is None else last + step
        if ordered and frame.dts is not None:
            tick = frame.dts - facts.delay
        elif not ordered and frame.pts is not None:
            tick = frame.pts
        if last is None or tick > last:
            last = tick
            yield tick, frame


def pixels(frame: Any, size: Sequence[int]) -> bytes:
    """A frame as upright RGB of ``size`` (height, width), uint8."""
    turns = round(frame.rotation / 90)
    height, width = size[::-1] if turns % 2 else size
    upright: np.ndarray = np.rot90(frame.to_ndarray(format="rgb24", width=width, height=height), turns)
    return upright.tobytes()
