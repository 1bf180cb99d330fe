"""Batches out of shards: what a worker process does."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from shared.core.errors import InputError
from trainer.data.members import Members
from trainer.data.picture import decode_windows
from trainer.data.sound import decode_window
from trainer.data.tracks import TrackPolicy, secondary
from trainer.data.windows import SAMPLES_A_TICK, ClipShape, centre_window, random_window
from trainer.feed import Batch
from trainer.shards.index import PICTURE, Index, open_index


class BatchPlan(NamedTuple):
    """Everything that one batch depends on, but for the data."""

    seed: tuple[int, ...]
    """Seed, epoch and number of the batch: all its randomness comes from them."""
    turn: int
    """Number of the step, for the round of languages."""
    rows: np.ndarray
    """int64 ``[B]``, shots of the index."""
    spares: np.ndarray
    """int64, shots that stand in, in this order, for those of the batch that fail; those without one are left out."""
    training: bool
    """Random windows; else the middle of each shot."""


class MadeBatch(NamedTuple):
    batch: Batch
    skipped: dict[str, int]
    """Shots that failed, and languages that were missing, by reason."""
    error: dict[str, Any] | None = None
    """Why there is no batch, as :meth:`shared.core.errors.CounterdubError.to_dict` says it."""


class Batches(torch.utils.data.Dataset[MadeBatch]):
    """Makes a batch of a plan. Opens the data in the process that uses it, so it travels to workers cheaply.

    Args:
        streams: Of :data:`trainer.recipe.STREAMS`; nothing else is decoded.
    """

    def __init__(
        self, index: Index, streams: set[str], shape: ClipShape, policy: TrackPolicy, one_window: bool
    ) -> None:
        self._folder, self._index, self._members = index.folder, index, Members(index.folder)
        self._streams, self._shape, self._policy, self._one_window = streams, shape, policy, one_window

    def __getstate__(self) -> dict[str, Any]:
        # Memory maps would be pickled with all their content.
        return {**self.__dict__, "_index": None, "_members": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._index, self._members = open_index(self._folder), Members(self._folder)

    def close(self) -> None:
        """Close the shards; reading opens them again."""
        self._members.close()

    def __getitem__(self, plan: BatchPlan) -> MadeBatch:
        skipped: Counter[str] = Counter()
        taken = {int(row) for row in plan.rows}
        spares = (int(row) for row in plan.spares)
        shots = []
        for slot, first in enumerate(plan.rows):
            random = np.random.default_rng([*plan.seed, 1, slot])
            row: int | None = int(first)
            while row is not None:
                try:
                    shots.append(self._shot(row, plan, random, skipped))
                    break
                except InputError as error:
                    skipped[error.code] += 1
                    row = next((spare for spare in spares if spare not in taken), None)
                    taken.add(row if row is not None else -1)
        if plan.training and len(shots) < len(plan.rows):
            return MadeBatch({}, dict(skipped), too_many_failed(skipped).to_dict())
        return MadeBatch(collate(shots), dict(skipped))

    def _shot(self, row: int, plan: BatchPlan, random: np.random.Generator, skipped: Counter[str]) -> dict[str, Any]:
        index, shape = self._index, self._shape
        frames = int(index.frames[row])
        if plan.training:
            start_p, window_p = random_window(shape, frames, random)
            start_s, window_s = random_window(shape, frames, random, start_p if self._one_window else None)
        else:
            start_p, window_p = start_s, window_s = centre_window(shape, frames)
        track_p = self._policy.primary
        # Held-out shots keep their language from one measurement to the next.
        draw = int(random.integers(2**31)) if plan.training else int(index.shot_hash[row])
        track_s, has_language = secondary(
            self._policy, int(index.track_bits[row]), plan.turn if plan.training else draw, draw
        )
        shot: dict[str, Any] = {"shot": row, "title": int(index.title[row]), "track_p": track_p, "track_s": track_s}
        places, shard = index.locate(row), int(index.shard[row])
        for stream, track, start in (("a_p", track_p, start_p), ("a_s", track_s, start_s)):
            if stream in self._streams:
                data = self._members.read(shard, *places[index.tracks[track]])
                first = start * SAMPLES_A_TICK
                shot[f"audio_{stream[-1]}"] = decode_window(
                    data, first, shape.samples, shape.channels, shape.sample_rate
                )
        windows = {"video_p": window_p, "video_s": window_s}
        windows = {name: window for name, window in windows.items() if f"v_{name[-1]}" in self._streams}
        if windows:
            data = self._members.read(shard, *places[PICTURE])
            shot.update(zip(windows, decode_windows(data, list(windows.values()), shape.size), strict=True))
        if not has_language:
            skipped["language_missing"] += 1
        return shot


def too_many_failed(skipped: Counter[str]) -> InputError:
    return InputError(
        f"Hardly any shot of the data can be read: {sum(skipped.values())} failed for one batch "
        f"({', '.join(sorted(skipped))}). Check it with counterdub shards --verify.",
        code="shots_unreadable",
    )


def collate(shots: list[dict[str, Any]]) -> Batch:
    """Shots as one batch; empty without any."""
    if not shots:
        return {}
    batch: dict[str, torch.Tensor] = {}
    for name, first in shots[0].items():
        values = [shot[name] for shot in shots]
        if isinstance(first, int):
            batch[name] = torch.tensor(values, dtype=torch.int64)
        else:
            batch[name] = torch.from_numpy(np.stack(values))
    return cast(Batch, batch)
