"""The feed ``shards``: batches from a folder of shards, made ahead by worker processes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.core.errors import UsageError
from trainer.data.batches import Batches, BatchPlan, MadeBatch
from trainer.data.sampler import epoch_order, same_title_count, steps_in_epoch
from trainer.data.shot_selection import check_shards, held_out_rows, identity, usable_rows
from trainer.data.tracks import policy_of
from trainer.data.windows import shape_of
from trainer.data.workers import made_ahead
from trainer.feed import Batch
from trainer.recipe import Recipe
from trainer.shards.index import Index, open_index

log = logging.getLogger(__name__)

STATE_VERSION = 1

SPARES = 16
"""Shots ready to stand in for each shot of a batch: data of which 95 of 100 shots are broken is given up."""


def make_feed(data: str, recipe: Recipe, rank: int = 0, world: int = 1) -> ShardFeed:
    """Batches from the shards in the folder ``data``, for process ``rank`` of ``world``.

    Raises:
        InputError: ``no_index``, ``bad_index``, ``other_shards`` (index and tars do not belong together),
            ``empty_dataset``, ``too_few_titles``, ``too_few_shots``, ``no_such_track``, ``one_language``.
        UsageError: ``bad_setting``.
    """
    index = open_index(Path(data))
    check_shards(index)
    return ShardFeed(index, recipe, rank, world)


class ShardFeed:
    """A :class:`trainer.feed.Feed`."""

    def __init__(self, index: Index, recipe: Recipe, rank: int, world: int) -> None:
        settings, shape = recipe.data, shape_of(recipe)
        policy = policy_of(settings, index.tracks, index.track_bits)
        self.tracks = index.tracks
        self.counts: Counter[str] = Counter()
        usable = usable_rows(index, shape.length, policy.primary, self.counts)
        left_out = held_out_rows(index, usable, settings)
        self._training, self._held_out = usable[~left_out], usable[left_out]
        self._title = index.title[self._training]
        self._together = same_title_count(settings.same_title, settings.batch_size)
        self.steps_per_epoch = steps_in_epoch(len(self._training), settings.batch_size, world)
        if self._together > 1 and self._title[0] == self._title[-1]:
            log.warning("All shots are of one title, so every negative is of the same title.")
        self._settings, self._rank, self._world = settings, rank, world
        self._batches = Batches(index, recipe.streams(), shape, policy, settings.one_window)
        self._pin = torch.cuda.is_available() and recipe.running.device != "cpu"
        self._taken = 0
        self._identity = identity(index, settings, shape.length)
        self._order: tuple[int, np.ndarray] | None = None
        self._running: list[Generator[MadeBatch]] = []

    def __iter__(self) -> Iterator[Batch]:
        with self._made(self._plans(self._taken)) as made:
            for batch, skipped, _ in made:
                self._taken += 1
                self.counts.update(skipped)
                yield batch

    def held_out(self) -> Iterator[Batch]:
        """The held-out shots of this process in order, centre windows; the last batch may be smaller.

        Shots that cannot be read are left out, and counted.
        """
        mine, size = self._held_out[self._rank :: self._world], self._settings.batch_size
        parts = [mine[first : first + size] for first in range(0, len(mine), size)]
        plans = [BatchPlan((), 0, rows, rows[:0], training=False) for rows in parts]
        with self._made(iter(plans)) as made:
            for batch, skipped, _ in made:
                self.counts.update({f"held_out_{reason}": count for reason, count in skipped.items()})
                if batch:
                    yield batch

    def state_dict(self) -> dict[str, Any]:
        """Small and JSON-able."""
        return {
            "version": STATE_VERSION,
            "data": self._identity,
            "epoch": self._taken // self.steps_per_epoch,
            "batches": self._taken % self.steps_per_epoch * self._world,
            "turn": self._taken,
            "processes": self._world,
            "counts": dict(self.counts),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on behind the batches taken, on as many processes as took them.

        Raises:
            UsageError: ``other_data`` when shards or the settings that decide the order are others,
                ``other_processes``.
        """
        if state.get("version") != STATE_VERSION or state.get("data") != self._identity:
            raise UsageError(
                "The data, or the data settings of the recipe, are not those that the training was begun with, so it "
                "cannot go on exactly. Use the same, or start anew.",
                code="other_data",
            )
        # Checkpoints of before it was written down: what the training itself says of its processes holds.
        if state.get("processes", self._world) != self._world:
            raise UsageError(
                f"The epoch was begun by {state['processes']} processes and {self._world} are training now. Start "
                f"{state['processes']}.",
                code="other_processes",
            )
        self._taken = state["epoch"] * self.steps_per_epoch + state["batches"] // self._world
        self.counts = Counter(state["counts"])

    def close(self) -> None:
        """Stop the workers and let go of the shards; iterating again begins both anew."""
        while self._running:
            self._running.pop().close()
        self._batches.close()

    def _plans(self, taken: int) -> Iterator[BatchPlan]:
        while True:
            epoch, step = divmod(taken, self.steps_per_epoch)
            number = step * self._world + self._rank
            rows = self._training[self._epoch(epoch)[number]]
            seed = (self._settings.seed, epoch, number)
            spares = np.random.default_rng([*seed, 2]).integers(len(self._training), size=SPARES * len(rows))
            yield BatchPlan(seed, taken, rows, self._training[spares], training=True)
            taken += 1

    def _epoch(self, epoch: int) -> np.ndarray:
        if self._order is None or self._order[0] != epoch:
            settings = self._settings
            self._order = None  # Two orders at once would be the largest thing in memory.
            order = epoch_order(self._title, settings.batch_size, self._together, self._world, settings.seed, epoch)
            self._order = (epoch, order)
        return self._order[1]

    @contextmanager
    def _made(self, plans: Iterator[BatchPlan]) -> Iterator[Iterator[MadeBatch]]:
        """Batches of the plans; their workers are stopped at the end, or by :meth:`close`."""
        made = made_ahead(self._batches, plans, self._settings, self._pin)
        self._running.append(made)
        try:
            yield made
        finally:
            made.close()
            if made in self._running:
                self._running.remove(made)
