"""Files with several streams, joined ones and ones that hide a part, as people have them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.unit.shared.media import odd


def tone(hz: float, seconds: float, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * 48000)) / 48000)).astype(np.float32)


def film(
    path: Path,
    sounds: Sequence[tuple[np.ndarray, str | None, bool]],
    seconds: float = 3.0,
    pictures: Sequence[tuple[int, int, float]] = ((160, 120, 3.0),),
    order: str = "va",
) -> Path:
    """A file of pictures (width, height, seconds) and mono sounds (samples, language, default).

    Args:
        order: ``va`` or ``av``: which streams come first.
    """
    with av.open(str(path), "w") as out:
        made: dict[str, list[Any]] = {"v": [], "a": []}
        for kind in order:
            for item in pictures if kind == "v" else sounds:
                if kind == "v":
                    width, height, _ = item
                    stream: Any = out.add_stream("libx264", rate=25)
                    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                else:
                    _, language, default = item
                    stream = out.add_stream("aac", rate=48000, layout="mono")
                    stream.disposition = av.stream.Disposition.default if default else av.stream.Disposition(0)
                    if language:
                        stream.metadata["language"] = language
                made[kind].append(stream)
        packets = []
        for stream, (width, height, length) in zip(made["v"], pictures, strict=True):
            for number in range(round(length * 25)):
                image = np.full((height, width, 3), (number * 7) % 255, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                packets += stream.encode(frame)
            packets += stream.encode(None)
        for stream, (samples, _, _) in zip(made["a"], sounds, strict=True):
            block = av.AudioFrame.from_ndarray(samples[None, : round(seconds * 48000)], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = 48000, 0, Fraction(1, 48000)
            packets += [*stream.encode(block), *stream.encode(None)]
        for packet in sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)):
            out.mux(packet)
    return path


def joined(path: Path, *starts: float, seconds: float = 3.0) -> Path:
    """Transport streams with their own clocks, put together byte by byte."""
    parts = []
    for number, start in enumerate(starts):
        part = path.with_name(f"part{number}-{path.name}")
        odd.clip(part, seconds, picture_start=start, sound_start=start)
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def two_programmes(path: Path) -> Path:
    """A radio first, then television: a stream of one programme whose tables are written anew."""
    film(path, [(tone(440, 3), None, False), (tone(220, 3), None, False)], order="av")
    with av.open(str(path)) as container:
        radio, voice = (stream.id for stream in container.streams.audio)
        picture = container.streams.video[0].id
    pat = table(0x00, 1, b"".join(n.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for n, pid in PROGRAMMES))
    pmts = {
        0x1000: table(0x02, 1, programme(radio, [(0x0F, radio)])),
        0x1100: table(0x02, 2, programme(picture, [(0x1B, picture), (0x0F, voice)])),
    }
    out, data, counts = bytearray(), path.read_bytes(), dict.fromkeys((0, *pmts), 0)
    for at in range(0, len(data), 188):
        packet = data[at : at + 188]
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        replaced = {0: pat} if pid == 0 else pmts if pid == 0x1000 else {}
        for number, section in replaced.items():
            head = bytes((0x47, 0x40 | number >> 8, number & 0xFF, 0x10 | counts[number] & 15, 0))
            counts[number] += 1
            out += (head + section).ljust(188, b"\xff")
        if not replaced:
            out += packet
    path.write_bytes(bytes(out))
    return path


PROGRAMMES = ((1, 0x1000), (2, 0x1100))


def programme(clock: int, streams: Sequence[tuple[int, int]]) -> bytes:
    entries = b"".join(bytes((kind,)) + (0xE000 | pid).to_bytes(2, "big") + b"\xf0\x00" for kind, pid in streams)
    return (0xE000 | clock).to_bytes(2, "big") + b"\xf0\x00" + entries


def table(kind: int, number: int, body: bytes) -> bytes:
    """A section of a transport stream's tables with its checksum."""
    length = 5 + len(body) + 4
    section = bytes((kind,)) + (0xB000 | length).to_bytes(2, "big") + number.to_bytes(2, "big") + b"\xc1\x00\x00" + body
    check = 0xFFFFFFFF
    for byte in section:
        check ^= byte << 24
        for _ in range(8):
            check = (check << 1 ^ 0x04C11DB7 if check & 0x80000000 else check << 1) & 0xFFFFFFFF
    return section + check.to_bytes(4, "big")


def cut_without_encoding(path: Path, hidden: float = 0.52) -> Path:
    """An MP4 whose edit list hides the beginning: the picture was cut between two key frames."""
    source = odd.clip(path.with_name(f"whole-{path.name}"), 3.0)
    with (
        av.open(str(source)) as whole,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled", "movflags": "+faststart"}) as out,
    ):
        streams = {stream.index: out.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if packet.size == 0:
                continue
            late = float(packet.pts * packet.time_base) - hidden
            if packet.stream.type == "audio" and late < 0:
                continue
            shift = round(hidden / float(packet.time_base))
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    return path
