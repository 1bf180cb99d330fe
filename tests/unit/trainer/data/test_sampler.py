"""The order of the shots: each once, one title together, the same for everybody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.errors import CounterdubError
from trainer.data.sampler import epoch_order, held_out, pieces, same_title_count, steps_in_epoch


@settings(max_examples=150, deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=20),
    batch=st.integers(2, 12),
    together=st.integers(0, 12),
    world=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_every_shot_once_but_for_what_does_not_divide(
    counts: list[int], batch: int, together: int, world: int, seed: int
) -> None:
    title = np.repeat(np.arange(len(counts)), counts)
    together = min(together, batch)
    if len(title) < batch * world:
        with pytest.raises(CounterdubError) as few:
            epoch_order(title, batch, together, world, seed, 0)
        assert few.value.code == "too_few_shots"
        return
    order = epoch_order(title, batch, together, world, seed, 0)
    assert order.shape == (steps_in_epoch(len(title), batch, world) * world, batch)
    assert len(np.unique(order)) == order.size and order.max() < len(title)
    assert len(title) - order.size < batch * world
    np.testing.assert_array_equal(order, epoch_order(title, batch, together, world, seed, 0))


def test_one_title_together_in_every_batch() -> None:
    title = np.repeat(np.arange(40), 25)
    order = epoch_order(title, 16, 4, 2, 0, 0)
    first = title[order[:, :4]]
    assert (first == first[:, :1]).all()
    # The groups are drawn from all titles, not from the first ones.
    assert len(np.unique(first[:, 0])) > 25


def test_titles_too_small_for_a_whole_group_give_what_they_have() -> None:
    title = np.repeat(np.arange(40), 3)
    first = title[epoch_order(title, 12, 5, 1, 0, 0)[:, :3]]
    assert (first == first[:, :1]).all()


def test_epochs_seeds_and_all_positions_are_mixed() -> None:
    title = np.repeat(np.arange(50), 40)
    orders = [epoch_order(title, 20, 5, 1, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (orders[one] == orders[other]).mean() < 0.01
    # Over epochs every shot is drawn into a group about as often as any other: 5 of 20.
    grouped = np.zeros(len(title))
    for epoch in range(80):
        grouped[epoch_order(title, 20, 5, 1, 0, epoch)[:, :5]] += 1
    assert abs(grouped.mean() - 20) < 0.01 and grouped.min() > 3 and grouped.max() < 42


def test_pieces_cover_every_run() -> None:
    starts, sizes = pieces(np.array([0, 0, 0, 1, 2, 2, 2, 2]), 2)
    assert list(zip(starts, sizes, strict=True)) == [(0, 2), (2, 1), (3, 1), (4, 2), (6, 2)]


def test_same_title_is_a_share_or_a_number() -> None:
    assert [same_title_count(share, 64) for share in (0, 0.125, 0.5, 1, 12)] == [0, 8, 32, 1, 12]
    with pytest.raises(CounterdubError) as many:
        same_title_count(65, 64)
    assert many.value.code == "bad_setting"


def test_what_is_held_out_stays_so() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**63, 1000, dtype=np.uint64)
    mask = held_out(hashes, 0.1)
    assert 70 < mask.sum() < 130
    np.testing.assert_array_equal(held_out(hashes[:500], 0.1), mask[:500])
    few = np.array([2**62, 2**62 + 5, 2**63 - 1], np.uint64)
    assert list(held_out(few, 0.01)) == [True, False, False]
    assert list(held_out(few // np.uint64(2**20), 0.5)) == [True, True, False]
    assert not held_out(few, 0).any()
    with pytest.raises(CounterdubError) as one:
        held_out(few[:1], 0.1)
    assert one.value.code == "too_few_titles"
