"""Makers of odd media for tests: small files, written by PyAV in a fraction of a second.

Every clip shows a slowly moving pattern whose colours change at its cuts, and beeps for 20 ms at every half second of
the file's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

BEEP_EVERY, BEEP_SECONDS, BEEP_HZ = 0.5, 0.02, 1000
COLOURS = ((200, 60, 40), (30, 90, 210), (60, 190, 80), (220, 200, 60), (120, 40, 150))


def clip(
    path: Path,
    seconds: float = 2.0,
    *,
    fps: int = 25,
    size: tuple[int, int] = (160, 120),
    times: Sequence[float] | None = None,
    cuts: Sequence[float] = (),
    rotation: int = 0,
    picture_start: float = 0.0,
    sound: str | np.ndarray | None = "beeps",
    sound_seconds: float | None = None,
    sound_start: float = 0.0,
    rate: int = 48000,
    layout: str = "stereo",
    gap: tuple[float, float] | None = None,
    picture_codec: str = "libx264",
    sound_codec: str = "aac",
    picture_options: dict[str, str] | None = None,
) -> Path:
    """A clip by its properties; the container follows from the suffix.

    Args:
        times: When each frame is shown, for a varying rate; otherwise ``seconds`` at ``fps``.
        cuts: Times at which the colours change.
        sound: ``beeps``, ``silence``, mono float32 samples at ``rate``, or None for no stream.
        gap: Stretch of the file's clock without sound packets.
    """
    shown = list(times) if times is not None else [n / fps for n in range(max(1, round(seconds * fps)))]
    with av.open(str(path), "w") as out:
        picture = cast(av.VideoStream, out.add_stream(picture_codec, rate=fps))
        picture.width, picture.height, picture.pix_fmt = *size, "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        picture.codec_context.time_base = Fraction(1, 90000) if picture_codec == "libx264" else Fraction(1, fps)
        picture.options = {**(picture_options or {})}
        if rotation:
            picture.set_display_rotation(rotation)
        if sound is not None:
            voice = cast(av.AudioStream, out.add_stream(sound_codec, rate=rate, layout=layout))
            voice.codec_context.time_base = Fraction(1, rate)
        base = picture.codec_context.time_base
        for index, time in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(image(time, size, cuts, index), format="rgb24")
            frame.pts, frame.time_base = round((time + picture_start) / base), base
            out.mux(picture.encode(frame.reformat(format=picture.pix_fmt)))
        out.mux(picture.encode(None))
        if sound is not None:
            length = sound_seconds if sound_seconds is not None else seconds
            for part in sound_frames(sound, length, sound_start, rate, layout, gap, voice.codec_context.frame_size):
                out.mux(voice.encode(part))
            out.mux(voice.encode(None))
    return path


def image(time: float, size: tuple[int, int], cuts: Sequence[float], index: int) -> np.ndarray:
    """``[height, width, 3]`` uint8."""
    shot = sum(time >= cut - 1e-6 for cut in cuts)
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    pattern = 0.75 + 0.25 * np.sin((x * (1 + shot) + y + index) / 9)
    return (pattern[..., None] * np.array(COLOURS[shot % len(COLOURS)])).astype(np.uint8)


def beeps(seconds: float, start: float, rate: int) -> np.ndarray:
    """Mono float32; sample ``n`` is at ``start + n / rate`` of the file's clock."""
    time = start + np.arange(round(seconds * rate)) / rate
    within = time % BEEP_EVERY
    return np.where(within < BEEP_SECONDS, 0.5 * np.sin(2 * np.pi * BEEP_HZ * within), 0).astype(np.float32)


def sound_frames(
    sound: str | np.ndarray,
    seconds: float,
    start: float,
    rate: int,
    layout: str,
    gap: tuple[float, float] | None,
    size: int,
) -> list[av.AudioFrame]:
    count = round(seconds * rate)
    if isinstance(sound, np.ndarray):
        mono = np.pad(sound[:count], (0, max(0, count - len(sound)))).astype(np.float32)
    else:
        mono = beeps(seconds, start, rate) if sound == "beeps" else np.zeros(count, np.float32)
    channels = av.AudioLayout(layout).nb_channels
    step, frames = size or 1024, []
    for first in range(0, len(mono), step):
        at = start + first / rate
        if gap and gap[0] <= at < gap[1]:
            continue
        block = np.repeat(mono[None, first : first + step], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(at * rate), Fraction(1, rate)
        frames.append(frame)
    return frames


def not_a_video(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8).tobytes())
    return path


def plain_text(path: Path) -> Path:
    path.write_text("This is a letter, not a film.\n" * 100)
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def truncated(path: Path) -> Path:
    """An MP4 cut off before its index."""
    whole = clip(path.with_suffix(".whole.mp4")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def truncated_after_index(path: Path, share: float = 0.5) -> Path:
    """An MP4 with its index at the front, cut off in the media."""
    whole = path.with_suffix(".whole.mp4")
    clip(path.with_suffix(".plain.mp4"))
    with (
        av.open(str(path.with_suffix(".plain.mp4"))) as source,
        av.open(str(whole), "w", options={"movflags": "+faststart"}) as out,
    ):
        copies = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def corrupted(path: Path) -> Path:
    """An MP4 whose media is overwritten in the middle, index intact."""
    data = bytearray(clip(path, seconds=4).read_bytes())
    start = data.index(b"mdat") + 4
    length = data.index(b"moov") - start
    for offset in range(start + length // 3, start + length // 2):
        data[offset] = (offset * 73) % 256
    path.write_bytes(bytes(data))
    return path


def varying_rate(path: Path) -> Path:
    """2 s: 1 s at 30 frames a second, then 1 s at 10, a cut at 1.0."""
    return clip(path, times=[n / 30 for n in range(30)] + [1 + n / 10 for n in range(10)], cuts=[1.0])


def surround(path: Path) -> Path:
    return clip(path, layout="5.1")


def telephone(path: Path) -> Path:
    return clip(path, rate=8000, layout="mono")


def sound_only(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        voice = out.add_stream("aac", rate=48000, layout="stereo")
        for frame in sound_frames("beeps", 1.0, 0.0, 48000, "stereo", None, 1024):
            out.mux(voice.encode(frame))
        out.mux(voice.encode(None))
    return path


def playlist(path: Path, other: Path) -> Path:
    """An HLS playlist with the suffix of a video."""
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n")
    return path


def concat_script(path: Path, other: Path) -> Path:
    path.write_text(f"ffconcat version 1.0\nfile '{other}'\n")
    return path


def dash(path: Path, other: Path) -> Path:
    path.write_text(
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation>'
        f"<BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    return path


def shell_names() -> list[str]:
    """File names that are an attack where a name reaches a shell, a URL parser or an FFmpeg protocol."""
    return [
        "$(touch owned).mp4",
        "; touch owned ;.mp4",
        "-y.mp4",
        "a'b\"c.mp4",
        "concat:a|b.mp4",
        "http:example.mp4",
        "%03d.mp4",
        "pipe:0",
        "new\nline.mp4",
        "映画 – ñandú 🎬.mp4",
    ]
