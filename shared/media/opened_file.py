"""Opening a submitted file: local bytes only, known containers only, and a clear word when it is something else."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from shared.core.errors import InputError
from shared.core.records import Restart

DEMUXERS = (
    "mov", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "nut", "rm", "dv", "gxf", "wtv",
    # Sound alone: opened only to be able to say that there is no picture.
    "mp3", "wav", "flac", "aac", "aiff", "caf",
)  # fmt: skip
"""Containers that may be opened. None of them reads other files or the network."""

SCRIPTS = ("#EXTM3U", "ffconcat ", "<MPD", "[playlist]", "<SmoothStreamingMedia", "<asx", "[InternetShortcut]")
"""Texts by which a playlist or a script for a player begins (or has in its first kilobyte, for XML)."""

HEAD = 4096


def open_media(path: Path) -> av.container.InputContainer:
    """Open a local media file for reading; use as a context manager.

    Raises:
        InputError: ``unreadable``, ``empty_file``, ``disguised_playlist``, ``truncated`` or ``not_a_video``.
    """
    head = read_head(path)
    refuse_scripts(head)
    try:
        # The prefix keeps names such as “concat:a|b” or “http:…” from being taken for protocols.
        container = av.open(
            f"file:{path}",
            metadata_errors="replace",
            options={"protocol_whitelist": "file", "format_whitelist": ",".join(DEMUXERS), "enable_drefs": "0"},
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise not_opened(path, head) from error
    if not set(container.format.name.split(",")) & set(DEMUXERS):
        container.close()
        raise not_opened(path, head)
    return container


def read_head(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError("This is a folder or a device, not a file.", code="unreadable")
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise InputError(f"The file cannot be read: {error.strerror}.", code="unreadable") from error
    if not head:
        raise InputError("The file is empty.", code="empty_file")
    return head


def refuse_scripts(head: bytes) -> None:
    """Refuse text that makes a player open other files or addresses."""
    text = head.lstrip(b"\xef\xbb\xbf\x00 \t\r\n").decode("utf-8", "replace").lower()
    if any(text.startswith(mark.lower()) or ("<" in mark and mark.lower() in text[:1024]) for mark in SCRIPTS):
        raise InputError(
            "The file is a playlist or script that points to other files, not a video. Submit the video itself.",
            code="disguised_playlist",
        )


def not_opened(path: Path, head: bytes) -> InputError:
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip") and lacks_index(path):
        return InputError(
            "The file breaks off before its index (moov): it was not copied or recorded to its end.", code="truncated"
        )
    return InputError("The file is not a video in a container that is known here.", code="not_a_video")


def lacks_index(path: Path) -> bool:
    """Whether the top-level boxes of an MP4 end without a complete ``moov``."""
    end = path.stat().st_size
    with path.open("rb") as file:
        position = 0
        while position + 8 <= end:
            file.seek(position)
            header = file.read(16)
            size = int.from_bytes(header[:4], "big")
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            elif size == 0:
                size = end - position
            if header[4:8] == b"moov" and position + size <= end:
                return False
            if size < 8:
                break
            position += size
    return True


def video_stream(container: av.container.InputContainer, index: int | None = None) -> Any | None:
    """The stream of that index, else the first real picture; covers and thumbnails do not count."""
    if index is not None:
        return container.streams[index]
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    return None


def audio_stream(container: av.container.InputContainer, index: int | None = None) -> Any | None:
    """The stream of that index, else the default sound, else the first; those without a decoder do not count."""
    if index is not None:
        return container.streams[index]
    known = [stream for stream in container.streams.audio if stream.codec_context is not None]
    default = [stream for stream in known if stream.disposition & av.stream.Disposition.default]
    return next(iter(default or known), None)


def shows_in_order(container: av.container.InputContainer) -> bool:
    """Whether the container knows only when packets are decoded, so that frames' own times mean nothing.

    AVI counts chunks; with B-frames the times that libavformat guesses are not in order.
    """
    return container.format.name == "avi"


class Decoded(Iterator[Any]):
    """Frames of one stream in order; packets that cannot be decoded are counted in ``corrupt`` and left out."""

    def __init__(self, container: av.container.InputContainer, stream: Any, restarts: Sequence[Restart] = ()) -> None:
        self.corrupt = 0
        self._frames = self._decode(container, stream, restarts)

    def __next__(self) -> Any:
        return next(self._frames)

    def _decode(
        self, container: av.container.InputContainer, stream: Any, restarts: Sequence[Restart]
    ) -> Iterator[Any]:
        for packet in packets(container, stream, restarts=restarts):
            try:
                frames = stream.decode(packet)
            except MemoryError:
                raise
            except av.error.FFmpegError:
                # Decoders say all sorts of things of damaged packets, “operation not permitted” among them.
                self.corrupt += 1
                continue
            yield from frames
        # Does nothing after a regular end; after a broken one it hands out what the decoder still holds.
        with contextlib.suppress(av.error.FFmpegError):
            yield from stream.decode(None)


RETRIES = 1000
"""Damaged places in a row after which the rest of a file is given up."""


def as_float(frame: Any) -> np.ndarray:
    """An audio frame as ``[samples, channels]`` float32, full scale 1."""
    data: np.ndarray = frame.to_ndarray()
    data = data.T if frame.format.is_planar else data.reshape(-1, frame.layout.nb_channels)
    if data.dtype == np.uint8:
        samples: np.ndarray = (data.astype(np.float32) - 128) / 128
    elif np.issubdtype(data.dtype, np.integer):
        samples = (data / float(2 ** (8 * data.dtype.itemsize - 1))).astype(np.float32)
    else:
        samples = np.nan_to_num(data.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    return samples


def packets(container: av.container.InputContainer, *streams: Any, restarts: Sequence[Restart] = ()) -> Iterator[Any]:
    """Packets of the streams to the end of what can be read; damaged places are skipped.

    Args:
        restarts: Where the file's clock begins again; times of packets go on there.
    """
    if restarts:
        yield from going_on(packets(container, *streams), restarts)
        return
    failures = 0
    while failures < RETRIES:
        try:
            for packet in container.demux(*streams):
                failures = 0
                yield packet
            return
        except av.error.InvalidDataError:
            failures += 1
        except av.error.OSError:
            return


def going_on(source: Iterable[Any], restarts: Sequence[Restart]) -> Iterator[Any]:
    """Packets of a file whose clock begins again, on one clock that goes on."""
    places: dict[int, int] = {}
    for packet in source:
        index = packet.stream.index
        # What a packet was cut off has no place of its own.
        places[index] = packet.pos if packet.pos is not None and packet.pos >= 0 else places.get(index, 0)
        shift = next((one.shift for one in reversed(restarts) if one.position <= places[index]), 0.0)
        ticks = round(shift / float(packet.time_base)) if packet.time_base else 0
        if ticks and packet.pts is not None:
            packet.pts += ticks
        if ticks and packet.dts is not None:
            packet.dts += ticks
        yield packet
