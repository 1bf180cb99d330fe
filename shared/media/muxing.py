"""Putting pictures, tracks and subtitles together: one shot, or the whole title with every track."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import av
import av.error
import numpy as np

from shared.audio.files import length
from shared.core.errors import UsageError
from shared.core.records import SAMPLE_RATE, Probe
from shared.core.text import clean
from shared.media import child
from shared.media.aac import AacEncoder, container_tag
from shared.media.opened_file import open_media, packets, shows_in_order, video_stream
from shared.media.picture import PictureEncoder, frames, pixel_shape
from shared.media.probing import origin
from shared.media.subtitles import Cue, guard, parse_cues
from shared.settings.models import LimitSettings

COPIED = {
    "mp4": {"h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9", "mpeg4"},
    "matroska": {
        "h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9", "vp8", "libvpx", "mpeg4", "mpeg2video", "mpeg1video",
        "theora", "mjpeg", "prores",
    },
}  # fmt: skip
"""Video codecs (decoders' names) that a container takes as they are; others are encoded anew as H.264."""

FORMATS = {".mp4": "mp4", ".mkv": "matroska"}

# Exact edit lists need a movie clock that counts samples; the default counts milliseconds.
OPTIONS = {"mp4": {"movflags": "+faststart", "movie_timescale": str(SAMPLE_RATE)}, "matroska": {}}

MOST_REORDERED = 32
"""Pictures that a decoder may hold back to bring them into order (16 in H.264, each in two fields)."""

MOST_CHAPTERS, MOST_ATTACHMENTS, ATTACHED_BYTES = 1000, 100, 64 * 2**20

HIDDEN_SECONDS = 0.02
"""More than so much of hidden picture is cut off by encoding anew."""

TIMEOUT_FACTOR = 10
"""Muxing may take this many times the time allowed for decoding: it may have to encode."""


class Track(NamedTuple):
    """A sound track of a title."""

    name: str
    language: str | None
    """ISO 639-1."""
    path: Path
    """48 kHz FLAC on the title's clock."""
    title: str


class TitleContents(NamedTuple):
    """What a title's file holds beside the picture."""

    tracks: Sequence[Track]
    """The first is the default one."""
    subtitles: Sequence[tuple[str, Path]] = ()
    """``(ISO 639-1, SRT file)``."""
    tags: Mapping[str, str] = MappingProxyType({})
    """What the file says of itself."""


def mux(
    picture: Path,
    audio: np.ndarray,
    out: Path,
    language: str | None,
    bitrate: int,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Give the picture of a shot a track: video copied bit by bit, sound as AAC, both from time 0.

    Args:
        picture: A file of :func:`shared.media.picture.encode_picture`.
        audio: ``[channels, samples]`` float32 at 48 kHz, one or two channels.
        tags: What the file says of itself.
    """
    with av.open(str(picture)) as source, av.open(str(out), "w", format="mp4", options=OPTIONS["mp4"]) as container:
        container.metadata.update(tags or {})
        stream = container.add_stream_from_template(source.streams.video[0])
        encoder = AacEncoder(container, audio.shape[0], bitrate, language)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
        container.mux(encoder.encode(audio))
        container.mux(encoder.finish())


def mux_title(
    source: Path,
    probe: Probe,
    contents: TitleContents,
    out: Path,
    bitrate: int,
    limits: LimitSettings | None = None,
    progress: child.Progress = child.ignore,
) -> bool:
    """The title with every track and its subtitles, in a child process; memory does not grow with its length.

    Args:
        out: ``.mkv`` or ``.mp4``.
        bitrate: Of each track, bits a second.

    Returns:
        Whether the picture was copied unchanged; else it was encoded anew because the container cannot hold it.

    Raises:
        UsageError: ``unknown_container``.
        InputError: ``decode_timeout``, ``decode_memory``, ``decode_crashed``.
        StorageError: ``disk_full``.
    """
    if out.suffix not in FORMATS:
        raise UsageError(f"A title is written as .mkv or .mp4, not “{out.suffix}”.", code="unknown_container")
    limits = limits or LimitSettings()
    copied: bool = child.call(
        "shared.media.muxing:write_title",
        {
            "source": str(source),
            "probe": probe.model_dump(),
            "contents": {
                "tracks": [[t.name, t.language, str(t.path), t.title] for t in contents.tracks],
                "subtitles": [[language, str(path)] for language, path in contents.subtitles],
                "tags": dict(contents.tags),
            },
            "out": str(out),
            "bitrate": bitrate,
            "max_pixels": limits.max_pixels,
        },
        timeout=TIMEOUT_FACTOR * (limits.decode_timeout_factor * probe.duration + 60),
        progress=progress,
    )
    return copied


def write_title(
    source: str,
    probe: dict[str, Any],
    contents: dict[str, Any],
    out: str,
    bitrate: int,
    max_pixels: int,
    progress: Callable[[float], None] = child.ignore,
) -> bool:
    """The child's part of :func:`mux_title`."""
    facts = Probe.model_validate(probe)
    chosen = [Track(name, language, Path(path), title) for name, language, path, title in contents["tracks"]]
    texts = [(language, Path(path)) for language, path in contents["subtitles"]]
    kind = FORMATS[Path(out).suffix]

    def write(copy: bool) -> None:
        with (
            open_media(Path(source)) as container,
            av.open(out, "w", format=kind, options=OPTIONS[kind]) as target,
        ):
            target.metadata.update(contents["tags"])
            if copy:
                picture = copied_picture(container, target, facts)
            else:
                picture = encoded_picture(container, target, facts, max_pixels)
            sounds = []
            for number, track in enumerate(chosen):
                channels = length(track.path)[1]
                encoder = AacEncoder(target, channels, bitrate, track.language, track.title, default=number == 0)
                sounds.append(encoder.file(track.path))
            keep_chapters(container, target, facts)
            if kind == "matroska":
                keep_attachments(container, target)
            words = [subtitle_packets(target, kind, language, path) for language, path in texts]
            # Streams come in the order of time, so no muxer has to hold one back while it waits for another.
            for packet in heapq.merge(picture, *sounds, *words, key=when):
                target.mux(packet)
                progress(min(1.0, max(0.0, when(packet)) / max(facts.duration, 1e-3)))

    with open_media(Path(source)) as container:
        # Only players of MP4 know how to hide what comes before a key frame.
        whole = facts.hidden <= HIDDEN_SECONDS
        copy = facts.video.codec in COPIED[kind] and not shows_in_order(container) and whole
    if copy:
        try:
            write(copy=True)
            return True
        except (Uncopyable, av.error.FFmpegError):
            pass  # Timestamps that the container refuses: frames of our own have good ones.
    write(copy=False)
    return False


class Uncopyable(Exception):
    """The source's packets lack what a container needs."""


def when(packet: Any) -> float:
    """Seconds at which a packet is due in the file."""
    return float(packet.dts * packet.time_base)


def copied_picture(source: Any, target: Any, probe: Probe) -> Iterator[Any]:
    """The source's own video packets on the title's clock."""
    stream = video_stream(source, probe.video.index)
    assert stream is not None
    copy = target.add_stream_from_template(stream)
    if target.format.name == "mp4" and probe.video.codec == "hevc":
        copy.codec_context.codec_tag = "hvc1"  # Apple's players take nothing else.
    return _shifted(packets(source, stream, restarts=probe.restarts), copy, origin(probe))


def _shifted(source: Iterable[Any], stream: Any, zero: float) -> Iterator[Any]:
    last: int | None = None
    for packet in decode_times(source):
        if packet.pts is None or (last is not None and packet.dts <= last):
            raise Uncopyable
        last = packet.dts
        shift = round(zero / float(packet.time_base))
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        packet.stream = stream
        yield packet


def keep_chapters(source: Any, target: Any, probe: Probe) -> None:
    """The source's chapters on the title's clock."""
    zero, kept = origin(probe), []
    for number, chapter in enumerate(source.chapters()[:MOST_CHAPTERS], 1):
        base = float(chapter["time_base"])
        start, end = (round(max(0.0, chapter[side] * base - zero) * 1000) for side in ("start", "end"))
        end = min(end, round(probe.duration * 1000))
        if start < end:
            facts = {"title": clean(chapter["metadata"].get("title", ""))[:200]}
            kept.append({"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": facts})
    if kept:
        target.set_chapters(kept)


def keep_attachments(source: Any, target: Any) -> None:
    """Fonts, covers and whatever else a Matroska file has attached."""
    size = 0
    for stream in source.streams.attachments[:MOST_ATTACHMENTS]:
        content = stream.data or b""
        size += len(content)
        if content and size <= ATTACHED_BYTES:
            name = clean(stream.name or "").replace("\\", "/").rpartition("/")[2] or "attachment"
            target.add_attachment(name[:200], stream.mimetype or "application/octet-stream", bytes(content))


def decode_times(source: Iterable[Any]) -> Iterator[Any]:
    """Packets, each with a decoding time: Matroska stores none, and libavformat cannot tell those of the first."""
    waiting: list[Any] = []
    for packet in source:
        if packet.size == 0:
            continue
        if packet.dts is None:
            waiting.append(packet)
            if len(waiting) > MOST_REORDERED:
                raise Uncopyable
            continue
        for steps, early in enumerate(reversed(waiting), 1):
            early.dts = packet.dts - steps * max(early.duration or 0, 1)
        yield from waiting
        waiting = []
        yield packet
    if waiting:
        raise Uncopyable


def encoded_picture(source: Any, target: Any, probe: Probe, max_pixels: int) -> Iterator[Any]:
    """The picture encoded anew: H.264, upright, even sizes."""
    encoder = PictureEncoder(target, probe, pixel_shape(source, probe))

    def run() -> Iterator[Any]:
        for time, frame in frames(source, probe, max_pixels):
            yield from encoder.encode(time, frame)
        yield from encoder.finish(probe.video.start - origin(probe) + probe.video.duration)

    return run()


def cues_of(path: Path) -> list[Cue]:
    """Cues of an SRT file; a title without a word has an empty one."""
    text = path.read_text(encoding="utf-8-sig")
    return parse_cues(text) if text.strip() else []


def subtitle_packets(target: Any, kind: str, language: str, path: Path) -> Iterator[Any]:
    """A subtitle stream of the container and its packets."""
    text_format = "mov_text" if kind == "mp4" else "subrip"
    stream = target.add_stream(text_format)
    stream.codec_context.subtitle_header = ASS_HEADER
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.metadata["language"] = container_tag(language)
    stream.disposition = av.stream.Disposition(0)

    def run() -> Iterator[Any]:
        for cue in sorted(cues_of(path)):
            # What SubRip reads as markup is guarded there as in the file; MP4's text has no markup.
            text = (cue.text if kind == "mp4" else guard(cue.text)).encode()
            packet = av.Packet(struct.pack(">H", len(text)) + text if kind == "mp4" else text)
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = round(cue.start * 1000)
            packet.duration = max(1, round((cue.end - cue.start) * 1000))
            yield packet

    return run()


ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
"""What the text encoders want to see before they write the stream's header."""
