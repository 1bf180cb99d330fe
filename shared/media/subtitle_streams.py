"""The subtitle streams of a video: what the container says of each, and the texts of those that hold text."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import av.error

from shared.core.records import Probe, Record, Restart
from shared.media import child
from shared.media.opened_file import open_media, packets
from shared.media.probing import origin
from shared.media.stream_choice import language_of
from shared.settings.models import LimitSettings

PICTURES = frozenset(
    ("hdmv_pgs_subtitle", "pgssub", "dvd_subtitle", "dvdsub", "dvb_subtitle", "dvbsub", "xsub", "hdmv_text_subtitle")
)
"""Codecs of subtitles that are pictures of text."""
MOST_STREAMS, MOST_CUES, MOST_CUE_BYTES = 100, 20_000, 4000
"""What is read of a file, of a stream and of a cue; more no film has."""
SHOWN_SECONDS = 5.0
"""How long a cue stands whose end no packet tells."""
NAME_CHARS = 200


class StreamCue(Record):
    """A cue on the title's clock, seconds, with ends of lines and codes of ASS as they stand."""

    start: float
    end: float
    text: str


class SubtitleStream(Record):
    """One subtitle stream of a video."""

    index: int
    codec: str
    language: str | None
    """ISO 639-1 by its tag."""
    title: str
    forced: bool
    hearing_impaired: bool
    commentary: bool
    default: bool
    pictures: bool
    """It holds pictures of text, which are not read."""
    cues: list[StreamCue]


def read_subtitle_streams(
    source: Path, probe: Probe, limits: LimitSettings, progress: child.Progress = child.ignore
) -> list[SubtitleStream]:
    """All subtitle streams of a video, read in a child process.

    Raises:
        InputError: ``decode_timeout``, ``decode_memory``, ``decode_crashed``.
    """
    rows = child.call(
        "shared.media.subtitle_streams:extract_streams",
        {
            "path": str(source),
            "zero": origin(probe),
            "restarts": [one.model_dump() for one in probe.restarts],
        },
        timeout=limits.decode_timeout_factor * probe.duration + 60,
        progress=progress,
    )
    return [SubtitleStream.model_validate(row) for row in rows]


def extract_streams(
    path: str,
    zero: float,
    restarts: list[dict[str, Any]],
    progress: Callable[[float], None] = child.ignore,
) -> list[dict[str, Any]]:
    """The child's part of :func:`read_subtitle_streams`."""
    size = max(Path(path).stat().st_size, 1)
    with open_media(Path(path)) as container:
        streams = container.streams.subtitles[:MOST_STREAMS]
        records = {stream.index: described(stream) for stream in streams}
        read = [stream for stream in streams if not records[stream.index].pictures and stream.codec_context is not None]
        clock = [Restart.model_validate(one) for one in restarts]
        for packet in packets(container, *read, restarts=clock) if read else ():
            if packet.pos:
                progress(min(packet.pos / size, 1.0))
            cues = records[packet.stream.index].cues
            if packet.pts is None or not packet.size or len(cues) >= MOST_CUES:
                continue
            text = text_of(packet)
            if text.strip():
                start = float(packet.pts * packet.time_base) - zero
                shown = float((packet.duration or 0) * packet.time_base) or SHOWN_SECONDS
                cues.append(StreamCue(start=round(start, 3), end=round(start + shown, 3), text=text))
    return [record.model_dump() for record in records.values()]


def described(stream: Any) -> SubtitleStream:
    kinds = av.stream.Disposition
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
    aside = kinds.comment | kinds.lyrics | kinds.karaoke
    return SubtitleStream(
        index=stream.index,
        codec=codec,
        language=language_of(stream),
        title=stream.metadata.get("title", "")[:NAME_CHARS],
        forced=bool(stream.disposition & kinds.forced),
        hearing_impaired=bool(stream.disposition & (kinds.hearing_impaired | kinds.captions)),
        commentary=bool(stream.disposition & aside),
        default=bool(stream.disposition & kinds.default),
        pictures=codec in PICTURES,
        cues=[],
    )


def text_of(packet: Any) -> str:
    """The dialogue of a packet; nothing where it cannot be decoded."""
    parts = []
    with contextlib.suppress(av.error.FFmpegError):
        for rect in packet.stream.decode(packet):
            dialogue = getattr(rect, "dialogue", b"") or getattr(rect, "text", b"")
            parts.append(dialogue.decode("utf-8", "replace")[:MOST_CUE_BYTES])
    return "\n".join(parts)
