"""Which shots of the data a recipe trains on and which it measures on."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np

from shared.core.errors import InputError
from trainer.data.sampler import held_out
from trainer.recipe import DataSettings
from trainer.shards.index import Index

PROBED = 500
"""Shards whose size is compared with the index when a feed opens; all of them in smaller data."""


def usable_rows(index: Index, length: int, primary: int, counts: Counter[str]) -> np.ndarray:
    """int64: shots that are ``length`` pictures long and have the primary track; the others are counted.

    Raises:
        InputError: ``empty_dataset``.
    """
    # Containers round: sound may lack part of a picture's length at the end.
    short = index.frames < length
    short |= index.samples.astype(np.int64) < length * 1920
    mute = ~short & (index.track_bits >> np.uint64(primary) & np.uint64(1) == 0)
    for reason, mask in (("too_short", short), ("no_primary", mute)):
        if count := int(mask.sum()):
            counts[reason] = count
    usable = np.flatnonzero(~short & ~mute)
    if not len(usable):
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "no shots at all"
        raise InputError(f"The data holds nothing to train on: {reasons}.", code="empty_dataset")
    return usable


def held_out_rows(index: Index, usable: np.ndarray, settings: DataSettings) -> np.ndarray:
    """Bool ``[len(usable)]``: those left out of the training, whole titles or single shots.

    Raises:
        InputError: ``too_few_titles``.
    """
    if settings.held_out_by == "shot":
        return held_out(index.shot_hash[usable], settings.held_out)
    title = index.title[usable]  # Not decreasing, so that nothing has to be sorted.
    begins = np.r_[True, title[1:] != title[:-1]]
    by_title = held_out(index.title_hash[title[begins]], settings.held_out)
    by_shot: np.ndarray = by_title[np.cumsum(begins) - 1]
    return by_shot


def identity(index: Index, settings: DataSettings, length: int) -> str:
    """What the order of the shots depends on: data and settings, not how many processes read them."""
    names = ("batch_size", "same_title", "primary", "held_out", "held_out_by", "seed")
    return json.dumps([index.digest, length, *(getattr(settings, name) for name in names)])


def check_shards(index: Index) -> None:
    """Compare sizes of the tars with the index.

    Raises:
        InputError: ``other_shards``.
    """
    names = list(index.shards.items())
    for name, size in names[:: max(1, len(names) // PROBED)]:
        path = index.folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise InputError(
                f"{name} is missing or not the one that the index was made for. Run counterdub shards again.",
                code="other_shards",
            )
