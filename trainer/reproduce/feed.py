"""The feed ``cinema``: batches from a world on disk, by the rules of the feed ``shards``."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from shared.core.errors import InputError, UsageError
from trainer.data.sampler import epoch_order, same_title_count, steps_in_epoch
from trainer.data.tracks import policy_of, secondary
from trainer.feed import Batch
from trainer.frontend.mel import frames_of
from trainer.recipe import Recipe
from trainer.reproduce.scale import FRAMES, FRAMES_A_PICTURE, MEL_FRAMES

GAIN_DB = 6.0
"""Each track of a training shot is made up to so much louder or quieter."""


def make_feed(data: str, recipe: Recipe, rank: int = 0, world: int = 1) -> CinemaFeed:
    """Batches from the world in the folder ``data``, for process ``rank`` of ``world``.

    Raises:
        InputError: ``empty_dataset``, ``too_few_shots``, ``no_such_track``, ``one_language``.
        UsageError: ``bad_setting`` where the recipe's windows are not those of a world.
    """
    return CinemaFeed(Path(data), recipe, rank, world)


class CinemaFeed:
    """A :class:`trainer.feed.Feed`. One window for picture and both sounds, drawn on the pictures' grid."""

    def __init__(self, folder: Path, recipe: Recipe, rank: int, world: int) -> None:
        try:
            facts = json.loads((folder / "world.json").read_text(encoding="utf-8"))
            self._heard = np.load(folder / "train.npy", mmap_mode="r")
            self._seen = np.load(folder / "train-frames.npy", mmap_mode="r")
            with np.load(folder / "train.npz") as columns:
                self._title = columns["title"]
        except (OSError, ValueError) as error:
            raise InputError(f"“{folder.name}” is no world of the miniature.", code="empty_dataset") from error
        settings, self._mel = recipe.data, frames_of(recipe.audio)
        if recipe.audio.mels != self._heard.shape[2] or recipe.video.size != self._seen.shape[2]:
            raise UsageError(
                "A world of the miniature has 64 mels and pictures of 32 × 32: use a recipe like cinema-en.toml.",
                code="bad_setting",
            )
        self.tracks = tuple(facts["tracks"]["train"])
        self.counts: Counter[str] = Counter()
        self._all = (1 << len(self.tracks)) - 1
        self._policy = policy_of(settings, self.tracks, np.array([self._all], np.uint64))
        self._starts = min((MEL_FRAMES - self._mel) // FRAMES_A_PICTURE, FRAMES - recipe.video.frames) + 1
        self._frames, self._streams = recipe.video.frames, recipe.streams()
        self._together = same_title_count(settings.same_title, settings.batch_size)
        self.steps_per_epoch = steps_in_epoch(len(self._title), settings.batch_size, world)
        self._settings, self._rank, self._world = settings, rank, world
        self._taken = 0
        decides = [settings.batch_size, settings.same_title, settings.seed, facts]
        self._identity = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    def __iter__(self) -> Iterator[Batch]:
        settings, known, order = self._settings, -1, np.zeros(0)
        while True:
            epoch, step = divmod(self._taken, self.steps_per_epoch)
            if epoch != known:
                order = epoch_order(self._title, settings.batch_size, self._together, self._world, settings.seed, epoch)
                known = epoch
            number = step * self._world + self._rank
            batch = self._batch(
                order[number].astype(np.int64), np.random.default_rng([settings.seed, epoch, number, 5])
            )
            self._taken += 1
            yield batch

    def _batch(self, rows: np.ndarray, random: np.random.Generator) -> Batch:
        start = random.integers(self._starts, size=len(rows))
        others = [
            secondary(self._policy, self._all, self._taken, int(one))[0]
            for one in random.integers(2**20, size=len(rows))
        ]
        tracks = {"p": np.full(len(rows), self._policy.primary), "s": np.array(others)}
        batch: dict[str, torch.Tensor] = {
            "shot": torch.from_numpy(rows),
            "title": torch.from_numpy(self._title[rows]),
            "track_p": torch.from_numpy(tracks["p"]),
            "track_s": torch.from_numpy(tracks["s"]),
        }
        for suffix, which in tracks.items():
            if f"v_{suffix}" in self._streams:
                frames = np.stack([self._seen[r, s : s + self._frames] for r, s in zip(rows, start, strict=True)])
                batch[f"video_{suffix}"] = torch.from_numpy(frames)
            if f"a_{suffix}" in self._streams:
                begin = start * FRAMES_A_PICTURE
                part = [self._heard[r, t, :, b : b + self._mel] for r, t, b in zip(rows, which, begin, strict=True)]
                loud = np.stack(part).astype(np.float32) + random.uniform(-GAIN_DB, GAIN_DB, (len(rows), 1, 1))
                batch[f"mel_{suffix}"] = torch.from_numpy(10 ** (loud / 10))[:, None].float()
        return cast(Batch, batch)

    def held_out(self) -> Iterator[Batch]:
        """None: probes measure on shots of other voices, words, titles and sounds instead."""
        return iter(())

    def state_dict(self) -> dict[str, Any]:
        return {"data": self._identity, "taken": self._taken, "world": self._world}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state.get("data") != self._identity or state.get("world") != self._world:
            raise UsageError("The world is not the one that the training was begun with.", code="other_data")
        self._taken = state["taken"]

    def close(self) -> None:
        """Nothing is held."""
