"""A small set of shards from generated shots: something moves and can be heard moving."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from trainer.shards.encoding import encode_picture, encode_sound
from trainer.shards.index_merge import write_index
from trainer.shards.records import digest_of
from trainer.shards.tar import Sample, write_shard

TRACKS = ("orig", "control", "es", "fr", "background")
SAMPLE_RATE, FPS = 48_000, 25


def make_shards(
    folder: Path,
    titles: int = 4,
    shots: int = 6,
    seconds: Sequence[float] = (3.4, 4.0, 5.2),
    tracks: Sequence[str] = TRACKS,
    size: tuple[int, int] = (128, 96),
    a_shard: int = 8,
    channels: int = 1,
) -> Path:
    """Write ``titles × shots`` shots into ``folder`` (made if absent) and index them; returns the folder.

    A shot's colour and the speed of its bar follow from its number, and so do the pitch and the pulse of its tracks:
    picture and sound of a shot belong together, titles differ in brightness and in their noise. Takes about 2 s.

    Args:
        size: Width and height of the pictures, pixels, even.
        a_shard: Shots in one tar.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = list(samples(titles, shots, seconds, tracks, size, channels))
    for number, first in enumerate(range(0, len(made), a_shard)):
        write_shard(folder, number, made[first : first + a_shard])
    write_index(folder)
    return folder


def samples(
    titles: int, shots: int, seconds: Sequence[float], tracks: Sequence[str], size: tuple[int, int], channels: int
) -> Iterator[Sample]:
    for title in range(titles):
        for shot in range(shots):
            number = title * shots + shot
            length = seconds[number % len(seconds)]
            frames, count = round(length * FPS), round(length * SAMPLE_RATE)
            share = number / max(1, titles * shots - 1)
            members = {"mp4": encode_picture(pictures(frames, share, title, size))}
            for track in tracks:
                sound = np.repeat(heard(track, count, share, title)[None], channels, axis=0)
                members[f"{track}.flac"] = encode_sound(sound)
            facts = {"title": f"title{title}", "shot": shot, "tracks": list(tracks)}
            members["json"] = json.dumps(facts).encode()
            key = f"title{title}_{shot:04d}"
            yield Sample(key, f"title{title}", shot, digest_of(key, length), frames, count, members)


def pictures(frames: int, share: float, title: int, size: tuple[int, int]) -> Iterator[av.VideoFrame]:
    """A bar that runs across at 0.3–3 passes a second over a colour of the shot's own."""
    width, height = size
    columns = np.arange(width)
    colour = (np.array([1 - share, share, 0.5]) * (120 + 20 * (title % 5))).astype(np.uint8)
    for frame in range(frames):
        image = np.full((height, width, 3), colour, np.uint8)
        place = width * ((0.3 + 2.7 * share) * frame / FPS % 1)
        image[:, np.abs(columns - place) < width / 10] = 255
        yield av.VideoFrame.from_ndarray(image, format="rgb24")


def heard(track: str, count: int, share: float, title: int) -> np.ndarray:
    """``[count]`` float32: the title's noise, a tone of the shot, and a voice of the track's own above it."""
    time = np.arange(count, dtype=np.float32) / SAMPLE_RATE
    noise = np.resize(np.random.default_rng(title).standard_normal(9600, np.float32), count)
    sound = 0.01 * noise + 0.2 * np.sin(np.float32(2 * np.pi * (200 + 1800 * share)) * time)
    if track != "background":
        pitch = {"orig": 120, "control": 120, "es": 160, "fr": 210}.get(track, 260)
        voice = (time * pitch % 1 > 0.5) * (time * (1 + 2 * share) % 1 < 0.6)
        sound = sound + 0.1 * voice.astype(np.float32)
    return sound
