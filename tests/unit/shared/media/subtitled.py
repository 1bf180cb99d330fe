"""Films with several subtitle streams, as discs and services have them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.stream import Disposition
from av.subtitles.codeccontext import SubtitleCodecContext

from shared.media.muxing import ASS_HEADER
from shared.media.subtitles import Cue


class Subtitles(NamedTuple):
    """A stream: its codec (``subrip``, ``ass``, ``mov_text``), tags and cues."""

    cues: Sequence[Cue]
    language: str = ""
    title: str = ""
    disposition: Disposition = Disposition(0)
    codec: str = "subrip"


def payload(codec: str, number: int, text: str) -> bytes:
    if codec == "mov_text":
        return struct.pack(">H", len(text.encode())) + text.encode()
    if codec == "ass":
        return f"{number},0,Default,,0,0,0,,{text}".encode()
    return text.encode()


def with_subtitles(source: Path, streams: Sequence[Subtitles], out: Path) -> Path:
    """A copy of a film with these subtitle streams, in a Matroska or MP4 file by the name of ``out``."""
    with av.open(str(source)) as film, av.open(str(out), "w") as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in film.streams}
        written = []
        for wanted in streams:
            stream = target.add_stream(wanted.codec)
            assert isinstance(stream.codec_context, SubtitleCodecContext)
            stream.codec_context.subtitle_header = ASS_HEADER
            stream.codec_context.time_base = Fraction(1, 1000)
            if wanted.language:
                stream.metadata["language"] = wanted.language
            if wanted.title:
                stream.metadata["title"] = wanted.title
            stream.disposition = wanted.disposition
            written.append(stream)
        for packet in film.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
        for wanted, stream in zip(streams, written, strict=True):
            for number, cue in enumerate(wanted.cues):
                packet = av.Packet(payload(wanted.codec, number, cue.text))
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = round(cue.start * 1000)
                packet.duration = round((cue.end - cue.start) * 1000)
                target.mux(packet)
    return out
