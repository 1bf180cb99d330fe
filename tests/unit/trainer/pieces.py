"""Few real shots, many pieces: a run's pairs cut up, so that a tiny training has something held out to be measured on.

A piece is 1.4 s of a shot with all its tracks; pieces do not overlap. What is measured on held-out pieces is therefore
how well sound and picture of *moments never trained on* find one another, in shots of which other moments were.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile as sf

from trainer.shards.encoding import encode_picture, encode_sound
from trainer.shards.index_merge import write_index
from trainer.shards.records import digest_of
from trainer.shards.tar import Sample, write_shard

FPS, SAMPLE_RATE = 25, 48_000
FRAMES = 35

SETTINGS = (
    "video.seconds=1.0", "video.frames=4", "video.size=48", "video.short_side=[54,64]", "audio.seconds=1.0",
    "data.batch_size=16", "data.same_title=4", "data.held_out=0.33", "data.held_out_by=shot",
    "running.validate_every=25", "running.checkpoint_every=1000",
)  # fmt: skip
"""Of a tiny recipe that trains on pieces."""


def cut_up(shards: Path, folder: Path, fold: int = 0, size: int = FRAMES) -> int:
    """Cut the shots of a folder of shards into a folder of pieces; gives their number.

    Args:
        fold: Enters the pieces' names, and so decides which are held out.
        size: Frames of a piece; with more than half a shot every shot is one piece.
    """
    folder.mkdir(parents=True)
    made = [piece for path in sorted(shards.glob("*.tar")) for piece in pieces(path, fold, size)]
    write_shard(folder, 0, made)
    write_index(folder)
    return len(made)


def pieces(path: Path, fold: int, size: int) -> Iterator[Sample]:
    shots: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, name = member.name.partition(".")
            content = tar.extractfile(member)
            assert content is not None
            shots.setdefault(key, {})[name] = content.read()
    for key, members in shots.items():
        with av.open(io.BytesIO(members["mp4"]), "r") as container:
            frames = list(container.decode(video=0))
        sounds = {name: sf.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].T
                  for name, data in members.items() if name.endswith(".flac")}  # fmt: skip
        tracks = [name.removesuffix(".flac") for name in sounds]
        for number in range(len(frames) // size):
            first, samples = number * size, size * SAMPLE_RATE // FPS
            begin = first * SAMPLE_RATE // FPS
            shown = frames[first : first + size]
            cut = {
                name: encode_sound(np.ascontiguousarray(sound[:, begin : begin + samples]))
                for name, sound in sounds.items()
            }
            facts = json.dumps({"title": key, "shot": number, "tracks": tracks}).encode()
            name = f"{key}_{number:02d}"
            digest = digest_of(f"{name} fold {fold}", size / FPS)
            yield Sample(name, key, number, digest, size, samples, {"mp4": encode_picture(shown), **cut, "json": facts})
