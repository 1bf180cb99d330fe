"""Which picture and which sound of a file are meant: by programme, tags, size, length and whether it sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error
import numpy as np

from shared.core import languages
from shared.core.errors import InputError, UsageError
from shared.media.opened_file import Decoded, as_float, open_media, packets

LONG_ENOUGH = 0.5
"""Share of the longest picture's length that the film must have: covers and trailers are shorter."""
HEARD = 10 ** (-60 / 20)
"""Peak from which on a stream sounds."""
LISTENED_SECONDS = 20.0
"""Of a stream at its beginning and at its middle, until something is heard."""
TABLES_BYTES = 2**22
"""Of a transport stream that are looked through for its programmes."""
ASIDE = ("comment", "visual_impaired", "hearing_impaired", "karaoke", "dub")
"""Dispositions of sounds that are not the film's own."""


class Choice(NamedTuple):
    """Indices of the streams in the file, and what is to be told of the choice."""

    video: int | None
    audio: int | None
    notes: list[str]


def choose(
    path: Path, language: str | None = None, wanted_video: int | None = None, wanted_audio: int | None = None
) -> Choice:
    """The streams that a film's picture and sound are taken from.

    Args:
        language: What the film speaks, ISO 639-1, if somebody said so.
        wanted_video, wanted_audio: Indices that somebody chose.

    Raises:
        InputError: ``no_such_stream``, and what :func:`~shared.media.opened_file.open_media` raises.
    """
    with open_media(path) as container:
        pictures = [stream for stream in container.streams.video if usable(stream)]
        sounds = [stream for stream in container.streams.audio if usable(stream)]
        check_wanted(wanted_video, pictures, "picture")
        check_wanted(wanted_audio, sounds, "sound")
        if len(pictures) < 2 and len(sounds) < 2:
            return Choice(first_index(pictures), first_index(sounds), [])
        programme = programmes(path) if container.format.name == "mpegts" else {}
        notes: list[str] = []
        video = first_index(pictures)
        if len(pictures) > 1:
            lengths = seconds_of(container, pictures)
            video, why = film(pictures, lengths, wanted_video)
            notes.append(describe_choice("picture", pictures, video, why, lengths))
        audio = first_index(sounds)
        if len(sounds) > 1:
            picture = next((stream for stream in pictures if stream.index == video), None)
            own = programme.get(picture.id) if picture is not None else None
            audio, why = sound_of(path, sounds, programme, own, language, wanted_audio)
            notes.append(describe_choice("sound", sounds, audio, why, {}))
        return Choice(video, audio, notes)


def usable(stream: Any) -> bool:
    """Whether a stream is no cover and has a decoder."""
    return stream.codec_context is not None and not stream.disposition & av.stream.Disposition.attached_pic


def first_index(streams: Sequence[Any]) -> int | None:
    return streams[0].index if streams else None


def check_wanted(wanted: int | None, streams: Sequence[Any], what: str) -> None:
    if wanted is not None and wanted not in [stream.index for stream in streams]:
        there = ", ".join(f"{stream.index} ({stream.codec_context.name})" for stream in streams) or "none"
        raise InputError(f"The file has no {what} in stream {wanted}; it has: {there}.", code="no_such_stream")


def seconds_of(container: Any, streams: Sequence[Any]) -> dict[int, float]:
    """Stream → seconds between its first and its last packet, and the length of that."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for packet in packets(container, *streams):
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or packet.size == 0:
            continue
        at = float(time * packet.time_base)
        index = packet.stream.index
        first[index] = min(first.get(index, at), at)
        last[index] = max(last.get(index, at), at + float((packet.duration or 0) * packet.time_base))
    return {stream.index: last.get(stream.index, 0.0) - first.get(stream.index, 0.0) for stream in streams}


def film(pictures: Sequence[Any], lengths: dict[int, float], wanted: int | None) -> tuple[int, str]:
    """The picture that is the film: of those that last long enough the largest."""
    if wanted is not None:
        return wanted, "somebody chose it"
    longest = max(lengths.values())
    lasting = [stream for stream in pictures if lengths[stream.index] >= LONG_ENOUGH * longest]
    areas = {stream.index: stream.codec_context.width * stream.codec_context.height for stream in lasting}
    best = max(lasting, key=lambda stream: (areas[stream.index], flags(stream)[0], -stream.index)).index
    if len(lasting) == 1:
        return best, "the others are too short for a film"
    return best, "it is the largest" if list(areas.values()).count(areas[best]) == 1 else "it is the default, or first"


def sound_of(
    path: Path,
    sounds: Sequence[Any],
    programme: Mapping[int, int],
    own: int | None,
    language: str | None,
    wanted: int | None,
) -> tuple[int, str]:
    """The sound that is the film's, and the first thing in which it differs from the next best.

    Args:
        programme: Of a transport stream: id of a stream → its programme; ``own`` is the picture's.
    """
    if wanted is not None:
        return wanted, "somebody chose it"
    speaks_against = {
        stream.index: {
            "it belongs to the picture's programme": own is not None and programme.get(stream.id) != own,
            "it is not silent": not sounding(path, stream.index),
            "of its language tag": language is not None and language_of(stream) != language,
            "the others are commentary or for special hearers": flags(stream)[1],
            "it is the default": not flags(stream)[0],
        }
        for stream in sounds
    }
    best, second = sorted(speaks_against, key=lambda index: (*speaks_against[index].values(), index))[:2]
    differs = (why for why, against in speaks_against[best].items() if against != speaks_against[second][why])
    return best, next(differs, "it is the first")


def flags(stream: Any) -> tuple[bool, bool]:
    """Whether a stream is its file's default, and whether it is something beside the film."""
    kinds = av.stream.Disposition
    return bool(stream.disposition & kinds.default), any(
        stream.disposition & getattr(kinds, name) for name in ASIDE if hasattr(kinds, name)
    )


def language_of(stream: Any) -> str | None:
    """ISO 639-1 code of a stream's tag, if it names a language."""
    try:
        return languages.code(stream.metadata.get("language", ""))
    except UsageError:
        return None


def sounding(path: Path, index: int) -> bool:
    """Whether anything is heard at the beginning of a stream or at its middle."""
    with open_media(path) as container:
        stream: Any = container.streams[index]
        if anything(container, stream):
            return True
        length = float((stream.duration or 0) * stream.time_base) or float(container.duration or 0) / 1e6
        if length <= LISTENED_SECONDS:
            return False
        start = float((stream.start_time or 0) * stream.time_base)
        try:
            container.seek(int((start + length / 2) / stream.time_base), stream=stream)
        except av.error.FFmpegError:
            return False
        return anything(container, stream)


def anything(container: Any, stream: Any) -> bool:
    """Whether one of the next seconds of a stream is above :data:`HEARD`."""
    seconds = 0.0
    for frame in Decoded(container, stream):
        block = as_float(frame)
        if block.size and float(np.abs(block).max()) > HEARD:
            return True
        seconds += frame.samples / (frame.sample_rate or 48_000)
        if seconds > LISTENED_SECONDS:
            break
    return False


def describe_choice(what: str, streams: Sequence[Any], chosen: int | None, why: str, lengths: dict[int, float]) -> str:
    """The sentence that says which stream was chosen."""
    names = []
    for stream in streams:
        context, tag = stream.codec_context, language_of(stream)
        facts = [context.name, f"{context.width}×{context.height}" if what == "picture" else context.layout.name, tag]
        facts.append(f"{lengths[stream.index]:.2f} s" if stream.index in lengths else None)
        names.append((stream.index, " ".join(str(fact) for fact in facts if fact)))
    mine = next(name for index, name in names if index == chosen)
    others = "; ".join(f"{index}: {name}" for index, name in names if index != chosen)
    return f"The {what} is stream {chosen} ({mine}) because {why} (not {others})."


def programmes(path: Path) -> dict[int, int]:
    """Of a transport stream: number of an elementary stream (PID) → number of its programme."""
    with path.open("rb") as file:
        data = file.read(TABLES_BYTES)
    size, begin = packet_size(data)
    tables: dict[int, int] = {}
    owners: dict[int, int] = {}
    for at in range(begin, len(data) - 187, size):
        packet = data[at : at + 188]
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        if packet[0] != 0x47 or not packet[1] & 0x40 or (pid and pid not in tables):
            continue
        section = payload(packet)
        if len(section) < 12:
            continue
        end = min(len(section), 3 + ((section[1] & 0x0F) << 8 | section[2]) - 4)
        if pid == 0 and section[0] == 0:
            for entry in range(8, end - 3, 4):
                number = section[entry] << 8 | section[entry + 1]
                if number:
                    tables[(section[entry + 2] & 0x1F) << 8 | section[entry + 3]] = number
        elif section[0] == 2:
            entry = 12 + ((section[10] & 0x0F) << 8 | section[11])
            while entry + 4 < end:
                owners.setdefault((section[entry + 1] & 0x1F) << 8 | section[entry + 2], tables[pid])
                entry += 5 + ((section[entry + 3] & 0x0F) << 8 | section[entry + 4])
    return owners


def packet_size(data: bytes) -> tuple[int, int]:
    """Bytes from one packet of a transport stream to the next, and where the first begins."""
    for size, begin in ((188, 0), (192, 4), (204, 0)):
        if all(data[begin + n * size : begin + n * size + 1] == b"\x47" for n in range(4)):
            return size, begin
    return 188, max(data.find(b"\x47"), 0)


def payload(packet: bytes) -> bytes:
    """The section that begins in a packet."""
    at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if at >= 188 or not packet[3] & 0x10:
        return b""
    return packet[at + 1 + packet[at] :]
