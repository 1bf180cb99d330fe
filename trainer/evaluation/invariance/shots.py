"""Embeddings of the shots of a shard set: every track of each, and its picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.core.errors import CounterdubError, InputError
from trainer.data.members import Members
from trainer.data.picture import decode_windows
from trainer.data.sound import decode_window
from trainer.data.windows import SAMPLES_A_TICK, centre_window, shape_of
from trainer.encoder import Encoder
from trainer.evaluation.cache import EmbeddingCache
from trainer.shards.index import FACTS, PICTURE, Index, open_index

BATCH = 32
VERSION = "1"


class Shots(NamedTuple):
    """``N`` shots; a track that a shot lacks is nan throughout.

    Attributes:
        keys: Title and number of each shot.
        titles: Title of each.
        tracks: By name, tower embeddings float32 ``[N, audio_size]``.
        heard: The same projected into the common space ``[N, head_size]``; empty where there are no heads.
        seen: Projected pictures ``[N, head_size]``; None without a video tower.
        digest: Of the content of all shards.
        skipped: Shots left out, by reason.
        computed: Shots that the encoder worked on; the others were found.
    """

    keys: list[str]
    titles: list[str]
    tracks: dict[str, np.ndarray]
    heard: dict[str, np.ndarray]
    seen: np.ndarray | None
    digest: str
    skipped: dict[str, int]
    computed: int


def embed_shots(
    encoder: Encoder,
    folder: Path,
    cache: EmbeddingCache,
    *,
    limit: int = 2000,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Shots:
    """Embed the middle window of shots: all tracks, and the picture where there is a tower for it.

    Args:
        encoder: Who embeds.
        folder: Shards (``counterdub shards``).
        cache: Where embeddings are kept.
        limit: Shots at most: those with the smallest hash, the same ones whatever the order of titles.
        progress: Told how many shots of how many are done.

    Raises:
        InputError: ``no_index``, ``bad_index``; ``empty_dataset`` if no shot is left.
    """
    index = open_index(folder)
    chosen = np.sort(np.argsort(np.asarray(index.shot_hash), kind="stable")[:limit])
    names: dict[str, list[str]] = {"keys": [], "titles": []}
    rows: list[dict[str, np.ndarray]] = []
    skipped: dict[str, int] = {}
    computed = 0
    with closing(Members(folder)) as members:
        for group in batches(chosen.tolist()):
            keys = {row: key_of(encoder, index, row) for row in group}
            cached = cache.get(keys.values())
            wanted = {}
            for row in group:
                if keys[row] in cached:
                    continue
                try:
                    wanted[row] = read_shot(index, members, row, encoder)
                except CounterdubError as error:
                    skipped[error.code] = skipped.get(error.code, 0) + 1
            made = embed(encoder, index, wanted)
            cache.put({keys[row]: array for row, array in made.items()})
            computed += len(made)
            for row in group:
                packed = made.get(row, cached.get(keys[row]))
                if packed is not None:
                    rows.append(unpack(packed, encoder, index))
                    title = json.loads(members.read(int(index.shard[row]), *index.locate(row)[FACTS]))["title"]
                    names["titles"].append(str(title))
                    names["keys"].append(f"{title}/{int(index.shot[row])}")
            progress(len(names["keys"]) + sum(skipped.values()), len(chosen))
    if not rows:
        raise InputError(f"No shot of “{folder.name}” can be read.", code="empty_dataset", skipped=skipped)
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return Shots(
        keys=names["keys"],
        titles=names["titles"],
        tracks={name: stacked[f"a {name}"] for name in index.tracks},
        heard={name: stacked[f"h {name}"] for name in index.tracks} if encoder.head_size else {},
        seen=stacked.get("v"),
        digest=index.digest,
        skipped=skipped,
        computed=computed,
    )


def batches(rows: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def key_of(encoder: Encoder, index: Index, row: int) -> str:
    place = f"{index.digest} {int(index.shard[row])} {int(index.first[row])}"
    return hashlib.sha256(f"shot {VERSION} {encoder.id} {place}".encode()).hexdigest()


def read_shot(index: Index, members: Members, row: int, encoder: Encoder) -> dict[str, np.ndarray]:
    """The middle window: a wave a track, float32 ``[N]`` at the recipe's rate, and ``mp4`` uint8 ``[T, S, S, 3]``.

    Raises:
        InputError: ``short_shot``, ``bad_picture``, ``bad_sound``, ``short_sound``, ``bad_shard``.
    """
    shape = shape_of(encoder.recipe)
    frames = int(index.frames[row])
    if frames < shape.length:
        raise InputError("The shot is shorter than a window.", code="short_shot")
    first, window = centre_window(shape, frames)
    shard = int(index.shard[row])
    read = {}
    for name, place in index.locate(row).items():
        if name == FACTS or (name == PICTURE and not sees(encoder)):
            continue
        data = members.read(shard, *place)
        if name == PICTURE:
            read[name] = decode_windows(data, [window], shape.size)[0]
        else:
            wave = decode_window(data, first * SAMPLES_A_TICK, shape.samples, 1, shape.sample_rate)
            read[name] = wave[0].astype(np.float32) / 32768
    return read


def sees(encoder: Encoder) -> bool:
    return bool(encoder.video_size and encoder.head_size)


def embed(encoder: Encoder, index: Index, shots: dict[int, dict[str, np.ndarray]]) -> dict[int, np.ndarray]:
    """Of each shot one row: every track's embedding, every track's projection, the picture's projection."""
    if not shots:
        return {}
    places = [(row, track) for row, shot in shots.items() for track in shot if track != PICTURE]
    waves = np.stack([shots[row][track] for row, track in places])
    towers = dict(zip(places, encoder.audio(waves), strict=True))
    heads = dict(zip(places, encoder.audio(waves, heads=True), strict=True)) if encoder.head_size else {}
    seen: dict[int, np.ndarray] = {}
    if sees(encoder):
        seen = dict(
            zip(shots, encoder.video(np.stack([shot[PICTURE] for shot in shots.values()]), heads=True), strict=True)
        )
    no_tower, no_head = np.full(encoder.audio_size, np.nan), np.full(encoder.head_size, np.nan)
    made = {}
    for row in shots:
        parts = [towers.get((row, track), no_tower) for track in index.tracks]
        parts += [heads.get((row, track), no_head) for track in index.tracks]
        made[row] = np.concatenate([*parts, *([seen[row]] if seen else [])]).astype(np.float32)
    return made


def unpack(packed: np.ndarray, encoder: Encoder, index: Index) -> dict[str, np.ndarray]:
    count = len(index.tracks)
    towers, rest = np.split(packed, [count * encoder.audio_size])
    heads, seen = np.split(rest, [count * encoder.head_size])
    parts: dict[str, Any] = {}
    parts |= {f"a {name}": part for name, part in zip(index.tracks, towers.reshape(count, -1), strict=True)}
    parts |= {f"h {name}": part for name, part in zip(index.tracks, heads.reshape(count, -1), strict=True)}
    return parts | ({"v": seen} if sees(encoder) else {})
