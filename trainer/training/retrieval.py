"""How well held-out shots find one another across streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

import numpy as np
import torch

from trainer.feed import Batch
from trainer.frontend.mel import MelFrontEnd
from trainer.model import Model, prepared
from trainer.training.processes import ProcessGroup

Autocast = Callable[[], AbstractContextManager[Any]]
DEPTHS = (1, 5, 10)


def measure(
    model: Model,
    held_out: Iterable[Batch],
    tracks: tuple[str, ...],
    front: MelFrontEnd,
    processes: ProcessGroup,
    autocast: Autocast,
    most: int,
) -> dict[str, float]:
    """Recall at 1, 5 and 10 on held-out shots; ``{}`` where there are fewer than two.

    ``r1/audio-video`` is the share of shots whose sound finds its own picture first among all shots' pictures;
    ``r1/es-video`` the same of Spanish dubs, ``r1/es-orig`` of Spanish dubs that look for their original.
    ``chance`` is recall at 1 of a blind guess (k times that for k), ``held_out`` the number of shots. Nothing is
    masked, but where there is no picture: there a sound under one mask looks for itself under another.

    Args:
        model: Whose embeddings are measured, heads included.
        held_out: This process's held-out shots.
        tracks: Names of the tracks.
        front: Of the recipe's sound.
        processes: That measure together; the first of them gets the result, the others ``{}``.
        autocast: What the model runs in.
        most: Shots at most, of all processes.
    """
    share = -(-most // processes.world)
    own = embedded(model, limited(held_out, share), front, processes.device, autocast)
    parts = processes.gathered(own)
    if not processes.first:
        return {}
    whole = {name: np.concatenate([part[name] for part in parts if name in part]) for name in parts[0]}
    return recalls(whole, tracks) if len(whole.get("shot", ())) > 1 else {}


def limited(batches: Iterable[Batch], most: int) -> Iterator[Batch]:
    seen = 0
    for batch in batches:
        if seen >= most:
            return
        seen += len(batch["shot"])
        yield batch


@torch.no_grad()
def embedded(
    model: Model,
    batches: Iterable[Batch],
    front: MelFrontEnd,
    device: torch.device,
    autocast: Autocast,
) -> dict[str, np.ndarray]:
    """Embeddings of each stream ``[N, D]`` with ``shot``, ``track_p``, ``track_s`` ``[N]``."""
    parts: dict[str, list[np.ndarray]] = {}
    masks = None if model.video is not None else torch.Generator(device).manual_seed(0)
    training = model.training
    model.eval()
    try:
        for batch in batches:
            with autocast():
                streams: Mapping[str, torch.Tensor] = model(prepared(batch, front, device, masks))
            for name, value in streams.items():
                parts.setdefault(name, []).append(value.cpu().numpy())
            given = cast(Mapping[str, torch.Tensor], batch)
            for name in ("shot", "track_p", "track_s"):
                if name in given:
                    parts.setdefault(name, []).append(given[name].numpy())
    finally:
        model.train(training)
    return {name: np.concatenate(values) for name, values in parts.items()}


def recalls(embeddings: Mapping[str, np.ndarray], tracks: tuple[str, ...]) -> dict[str, float]:
    """Recalls from all embeddings; a shot that came twice counts once."""
    _, once = np.unique(embeddings["shot"], return_index=True)
    every = {name: value[np.sort(once)] for name, value in embeddings.items()}
    count = len(every["shot"])
    result: dict[str, float] = {"chance": 1 / count, "held_out": count}
    here = np.arange(count)
    picture, sound, other = every.get("v_p"), every.get("a_p"), every.get("a_s")
    if picture is not None and sound is not None:
        result |= named("audio-video", ranks(sound, picture, here))
        result |= named("video-audio", ranks(picture, sound, here))
    if other is not None:
        pairs = np.stack([every["track_s"], every["track_p"]], 1)
        for secondary, primary in np.unique(pairs, axis=0).tolist():
            own = here[(pairs == (secondary, primary)).all(1)]
            if sound is not None and (secondary != primary or picture is None):
                result |= named(f"{tracks[secondary]}-{tracks[primary]}", ranks(other[own], sound, own))
            if picture is not None and secondary != primary:
                result |= named(f"{tracks[secondary]}-video", ranks(other[own], picture, own))
    return result


def named(name: str, ranks_of_own: np.ndarray) -> dict[str, float]:
    return {f"r{depth}/{name}": float((ranks_of_own < depth).mean()) for depth in DEPTHS}


def ranks(queries: np.ndarray, among: np.ndarray, own: np.ndarray, rows: int = 1024) -> np.ndarray:
    """How many rows of ``among`` are at least as near to each query as its own; 0 is first.

    A tie counts against the query, so that embeddings which are all alike find nothing.

    Args:
        queries: ``[Q, D]``, length 1.
        among: ``[N, D]``, length 1.
        own: int ``[Q]``, the row of ``among`` that belongs to each query.
        rows: Queries at a time, which bounds the memory.
    """
    counts = []
    for first in range(0, len(queries), rows):
        near = queries[first : first + rows] @ among.T
        mine = np.take_along_axis(near, own[first : first + rows, None], axis=1)
        counts.append((near >= mine).sum(1) - 1)
    return np.concatenate(counts) if counts else np.zeros(0, int)
