"""Which shots stand in which batch: numpy alone, a function of seed and epoch, whatever reads the shots.

Every shot is drawn exactly once an epoch, but for those that are left when the shots do not divide into whole steps of
all processes: fewer than ``batch · world``, others in each epoch. All processes make the same number of steps.
"""

from __future__ import annotations

import numpy as np

from shared.core.errors import InputError, UsageError

SPAN = 2.0**63
"""Range of the stable hashes of titles and shots."""


def same_title_count(share: float, batch: int) -> int:
    """How many shots of a batch come from one title: a share below 1 of it, else a number.

    Raises:
        UsageError: ``bad_setting`` when that is more than the batch.
    """
    count = round(share * batch) if share < 1 else int(share)
    if count > batch:
        raise UsageError(
            f"Recipe setting “data.same_title”: {count} shots of one title do not fit into a batch of {batch}.",
            code="bad_setting",
            key="data.same_title",
        )
    return count


def held_out(hashes: np.ndarray, share: float) -> np.ndarray:
    """Bool mask of what is left out: hashes below ``share``, at least one of them and never all.

    Args:
        hashes: uint64 ``[K]`` below 2⁶³, of titles or shots. What is held out stays so when others are added.

    Raises:
        InputError: ``too_few_titles`` when there is only one to take from.
    """
    mask = np.zeros(len(hashes), bool)
    if share == 0 or len(hashes) == 0:
        return mask
    if len(hashes) == 1:
        raise InputError(
            "The data has one title only, so none can be held out. Use data.held_out_by=shot or data.held_out=0.",
            code="too_few_titles",
        )
    mask |= hashes.astype(np.float64) < share * SPAN
    if not mask.any():
        mask[np.argmin(hashes)] = True
    if mask.all():
        mask[np.argmax(hashes)] = False
    return mask


def steps_in_epoch(shots: int, batch: int, world: int) -> int:
    """Steps of every process.

    Raises:
        InputError: ``too_few_shots`` when there is not one.
    """
    steps = shots // (batch * world)
    if steps == 0:
        raise InputError(
            f"There are {shots} shots to train on; one step takes {batch * world}. Lower data.batch_size.",
            code="too_few_shots",
        )
    return steps


def epoch_order(title: np.ndarray, batch: int, together: int, world: int, seed: int, epoch: int) -> np.ndarray:
    """The batches of one epoch: uint32 ``[steps · world, batch]``, positions in ``title``.

    Batch ``step · world + rank`` is a process's. The first ``together`` shots of each are of one title, as far as
    titles have that many shots: groups are drawn at random, titles thus in proportion to their shots; where there are
    not enough, the largest remainders follow; a batch without any is filled from everywhere.

    Args:
        title: ``[N]``, title of each shot, not decreasing.
        together: Shots of one title in each batch; below 2 there are no groups.
    """
    count = len(title)
    batches = steps_in_epoch(count, batch, world) * world
    random = np.random.default_rng([seed, epoch, 0])
    if together < 2:
        return random.permutation(np.arange(count, dtype=np.uint32))[: batches * batch].reshape(batches, batch)

    shuffled = shuffled_within(title, random)
    starts, sizes = pieces(title, together)
    chosen = random.permutation(len(starts))
    # Larger ones first, in random order among equals.
    chosen = chosen[np.argsort(-sizes[chosen].astype(np.int16), kind="stable")][:batches]
    chosen = chosen[sizes[chosen] > 1]
    # The smaller groups must not all come at the end.
    random.shuffle(chosen)

    order = np.empty((batches, batch), np.uint32)
    filled = np.zeros((batches, batch), bool)
    used = np.zeros(count, bool)
    slots = np.arange(together)
    inside = slots < sizes[chosen][:, None]
    members = (starts[chosen][:, None] + slots)[inside]
    where = random.permutation(batches)[: len(chosen)]
    grouped = np.zeros((batches, together), bool)
    grouped[where] = inside
    filled[:, :together] = grouped
    # Rows of ``grouped`` are read in order of ``where``, so the groups are laid in that order too.
    by_batch = np.argsort(where, kind="stable")
    inside_sorted = inside[by_batch]
    order[filled] = shuffled[(starts[chosen][by_batch][:, None] + slots)[inside_sorted]]
    used[members] = True

    rest = shuffled[~used]
    random.shuffle(rest)
    order[~filled] = rest[: order.size - len(members)]
    return order


def shuffled_within(title: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """uint32 ``[N]``: positions, shuffled within each run of equal titles."""
    keys = title.astype(np.uint64) << np.uint64(32)
    keys |= random.integers(0, 2**32, len(title), dtype=np.uint32)
    return np.argsort(keys, kind="stable").astype(np.uint32)


def pieces(title: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Start (int64) and length (≤ ``size``) of the pieces that runs of equal titles are cut into."""
    first = np.flatnonzero(np.r_[True, title[1:] != title[:-1]])
    length = np.diff(np.r_[first, len(title)])
    parts = -(-length // size)
    run = np.repeat(np.arange(len(first)), parts)
    number = np.arange(len(run)) - np.repeat(np.cumsum(parts) - parts, parts)
    starts = first[run] + number * size
    return starts, np.minimum(size, length[run] - number * size)
