"""The feed: the same batches whatever makes them, and nothing that stops it short of no data at all."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import signal
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from shared.core.errors import CounterdubError
from tests.unit.trainer.data.conftest import small_recipe
from tests.unit.trainer.material import make_shards
from trainer.data.feed import ShardFeed, make_feed
from trainer.feed import Batch
from trainer.recipe import Recipe
from trainer.shards.index import open_index
from trainer.shards.index_merge import write_index


def some(feed: ShardFeed, count: int) -> list[Batch]:
    try:
        return list(itertools.islice(feed, count))
    finally:
        feed.close()


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)  # type: ignore[literal-required]
        for a, b in zip(one, other, strict=True)
    )


def code_of(data: Path, recipe: Recipe, **options: Any) -> str:
    with pytest.raises(CounterdubError) as wrong:
        make_feed(str(data), recipe, **options)
    return wrong.value.code


def test_a_batch(made_shards: Path) -> None:
    feed = make_feed(str(made_shards), small_recipe())
    assert feed.tracks == ("orig", "control", "background", "es", "fr") and feed.steps_per_epoch == 15 // 4
    (batch,) = some(feed, 1)
    assert batch["video_p"].shape == batch["video_s"].shape == (4, 8, 48, 48, 3)
    assert batch["video_p"].dtype == torch.uint8
    assert batch["audio_p"].shape == (4, 1, 144_000) and batch["audio_p"].dtype == torch.int16
    assert (batch["title"][:2] == batch["title"][0]).all() and len(set(batch["shot"].tolist())) == 4
    assert (batch["track_p"] == 0).all() and set(batch["track_s"].tolist()) <= {3, 4}
    assert not torch.equal(batch["video_p"], batch["video_s"])
    assert entry_points(group="counterdub.feed")["shards"].load() is make_feed


def test_picture_and_sound_are_the_shots_own(made_shards: Path) -> None:
    """The set's tone is at 200 + 1800 · number / 19 Hz, its colour from red to green."""
    for batch in some(make_feed(str(made_shards), small_recipe(secondary="same", primary="background")), 3):
        share = batch["shot"].numpy() / 19
        spectrum = np.abs(np.fft.rfft(batch["audio_p"][:, 0].numpy()))
        np.testing.assert_allclose(spectrum.argmax(1) / 3, 200 + 1800 * share, atol=1)
        colour = batch["video_p"].double().median(1).values.flatten(1, 2).median(1).values.numpy()
        np.testing.assert_allclose(colour[:, 1] / (colour[:, 0] + colour[:, 1]), share, atol=0.06)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(made_shards: Path, workers: int) -> None:
    alone = some(make_feed(str(made_shards), small_recipe()), 5)
    assert same(alone, some(make_feed(str(made_shards), small_recipe(workers=workers)), 5))
    assert not same(alone, some(make_feed(str(made_shards), small_recipe(seed=4)), 5))


@pytest.mark.parametrize("taken", [2, 4])
def test_it_goes_on_mid_epoch_on_other_workers(made_shards: Path, taken: int) -> None:
    whole = some(make_feed(str(made_shards), small_recipe()), 7)
    first = make_feed(str(made_shards), small_recipe(workers=2, prefetch=3))
    iterator = iter(first)
    for _ in range(taken):
        next(iterator)
    state = json.loads(json.dumps(first.state_dict()))
    first.close()
    second = make_feed(str(made_shards), small_recipe(workers=1))
    second.load_state_dict(state)
    assert same(some(second, 7 - taken), whole[taken:])


def test_two_processes_go_on_at_the_same_batch_and_another_number_is_refused(made_shards: Path) -> None:
    recipe = small_recipe(batch_size=2, same_title=0)
    pair = [make_feed(str(made_shards), recipe, rank, 2) for rank in (0, 1)]
    taken = {int(shot) for feed in pair for batch in some(feed, 2) for shot in batch["shot"]}
    states = [json.loads(json.dumps(feed.state_dict())) for feed in pair]
    again = [make_feed(str(made_shards), recipe, rank, 2) for rank in (0, 1)]
    for feed, state in zip(again, states, strict=True):
        feed.load_state_dict(state)
    rest = {int(shot) for feed in again for batch in some(feed, feed.steps_per_epoch - 2) for shot in batch["shot"]}
    assert len(taken) == 8 and rest and not taken & rest
    with pytest.raises(CounterdubError) as caught:
        make_feed(str(made_shards), recipe).load_state_dict(states[0])
    assert caught.value.code == "other_processes"


def test_ranks_share_an_epoch_and_make_equal_steps(made_shards: Path) -> None:
    feeds = [make_feed(str(made_shards), small_recipe(batch_size=2), rank, 3) for rank in range(3)]
    assert {feed.steps_per_epoch for feed in feeds} == {15 // 6}
    shots = [int(shot) for feed in feeds for batch in some(feed, 2) for shot in batch["shot"]]
    assert len(set(shots)) == len(shots) == 12
    tracks = [[b["track_s"].tolist() for b in some(make_feed(str(made_shards), r, k, 2), 2)] for k in (0, 1)
              for r in (small_recipe(secondary="round-robin", languages=("es", "fr"), batch_size=2),)]  # fmt: skip
    assert tracks[0] == tracks[1] == [[3, 3], [4, 4]]


def test_held_out_shots_are_apart_and_the_same_each_time(made_shards: Path) -> None:
    recipe = small_recipe()
    feed = make_feed(str(made_shards), recipe)
    once, again = list(feed.held_out()), list(feed.held_out())
    assert same(once, again)
    titles = {int(title) for batch in once for title in batch["title"]}
    trained = {int(title) for batch in some(feed, 3) for title in batch["title"]}
    assert titles and not titles & trained
    assert torch.equal(once[0]["video_p"], once[0]["video_s"])
    shared = [make_feed(str(made_shards), small_recipe(workers=1), rank, 2) for rank in (0, 1)]
    shots = [int(shot) for part in shared for batch in part.held_out() for shot in batch["shot"]]
    assert sorted(shots) == sorted(int(shot) for batch in once for shot in batch["shot"])
    for part in shared:
        part.close()


def test_only_what_the_recipe_reads_is_decoded(shards: Path) -> None:
    # Every picture is damaged, and nobody notices.
    index = open_index(shards)
    for row in range(len(index)):
        overwrite(shards, int(index.shard[row]), *index.locate(row)["mp4"])
    recipe = small_recipe()
    alone = {"objective": {"terms": {}, "lambda_a": 1.0}, "model": {**recipe.model.model_dump(), "video": None}}
    sound = Recipe.model_validate({**recipe.model_dump(), **alone})
    feed = make_feed(str(shards), sound)
    (batch,) = some(feed, 1)
    assert {name for name in batch if name.startswith(("video", "audio"))} == {"audio_p", "audio_s"}
    assert not feed.counts
    with pytest.raises(CounterdubError) as failed:
        some(make_feed(str(shards), recipe), 1)
    assert failed.value.code == "shots_unreadable" and "bad_picture" in failed.value.message


def overwrite(shards: Path, shard: int, offset: int, size: int) -> None:
    with (shards / f"shard-{shard:06d}.tar").open("r+b") as file:
        file.seek(offset)
        file.write(bytes(size))


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_members_are_replaced_and_counted(shards: Path, workers: int) -> None:
    index = open_index(shards)
    broken = {0: "mp4", 7: "orig", 8: "es", 11: "mp4", 12: "orig"}
    for row, name in broken.items():
        overwrite(shards, int(index.shard[row]), *index.locate(row)[name])
    feed = make_feed(str(shards), small_recipe(workers=workers, held_out=0, secondary="fixed", languages=("es",)))
    batches = some(feed, 2 * feed.steps_per_epoch)
    assert all(len(set(batch["shot"].tolist())) == 4 for batch in batches)
    assert not {int(shot) for batch in batches for shot in batch["shot"]} & broken.keys()
    assert feed.counts["bad_picture"] >= 4 and feed.counts["bad_sound"] >= 6
    plain = make_feed(str(shards), small_recipe(held_out=0, secondary="fixed", languages=("es",)))
    assert same(batches, some(plain, 2 * plain.steps_per_epoch)) and plain.counts == feed.counts


def test_a_lost_or_torn_shard_is_not_fatal(shards: Path) -> None:
    recipe = small_recipe(held_out=0, same_title=0)
    feed = make_feed(str(shards), recipe)
    (shards / "shard-000001.tar").unlink()
    torn = shards / "shard-000002.tar"
    os.truncate(torn, 5000)
    for batch in some(feed, feed.steps_per_epoch):
        assert (batch["shot"] < 8).all()
    assert feed.counts["bad_shard"] >= 10
    # Who opens it anew is told.
    assert code_of(shards, recipe) == "other_shards"


def test_broken_held_out_shots_are_left_out(shards: Path) -> None:
    feed = make_feed(str(shards), small_recipe())
    before = sum(len(batch["shot"]) for batch in feed.held_out())
    index = open_index(shards)
    row = int(next(iter(feed.held_out()))["shot"][0])
    overwrite(shards, int(index.shard[row]), *index.locate(row)["mp4"])
    assert sum(len(batch["shot"]) for batch in feed.held_out()) == before - 1
    assert feed.counts == {"held_out_bad_picture": 1}


def test_short_shots_and_missing_tracks_are_counted(tmp_path: Path) -> None:
    make_shards(tmp_path, titles=2, shots=6, seconds=(2.0, 3.0, 3.4), tracks=("orig", "es"), size=(64, 48))
    feed = make_feed(str(tmp_path), small_recipe(held_out=0))
    assert feed.counts == {"too_short": 4}
    assert all(int(shot) % 3 for batch in some(feed, 2) for shot in batch["shot"])


def test_data_that_cannot_be_used(made_shards: Path, shards: Path, tmp_path: Path) -> None:
    assert code_of(tmp_path / "none", small_recipe()) == "no_index"
    assert code_of(made_shards, small_recipe(batch_size=64)) == "too_few_shots"
    assert code_of(made_shards, small_recipe(languages=("ja",))) == "no_such_track"
    long = Recipe.model_validate({**small_recipe().model_dump(), "audio": {"seconds": 9.0}})
    assert code_of(made_shards, long) == "empty_dataset"
    head = json.loads((shards / "index.json").read_text())
    (shards / "index.json").write_text(json.dumps({**head, "format": 99}))
    assert code_of(shards, small_recipe()) == "no_index"
    (shards / "index.json").write_text("{")
    assert code_of(shards, small_recipe()) == "bad_index"
    (shards / "index.json").write_text(json.dumps({**head, "shots": 3}))
    assert code_of(shards, small_recipe()) == "bad_index"
    for path in shards.glob("shard-*"):
        path.unlink()
    write_index(shards)
    assert code_of(shards, small_recipe()) == "no_such_track"


def test_one_title_or_one_language(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_shards(tmp_path, titles=1, shots=5, seconds=(3.2,), tracks=("orig", "control"), size=(64, 48))
    assert code_of(tmp_path, small_recipe(secondary="same")) == "too_few_titles"
    assert code_of(tmp_path, small_recipe(held_out_by="shot")) == "one_language"
    feed = make_feed(str(tmp_path), small_recipe(secondary="same", held_out_by="shot", batch_size=2))
    assert len(some(feed, 2)) == 2
    assert "one title" in caplog.text


def test_state_of_other_data(made_shards: Path) -> None:
    state = make_feed(str(made_shards), small_recipe()).state_dict()
    for recipe in (small_recipe(seed=9), small_recipe(batch_size=3), small_recipe(held_out=0)):
        with pytest.raises(CounterdubError) as other:
            make_feed(str(made_shards), recipe).load_state_dict(state)
        assert other.value.code == "other_data"


def test_what_travels_to_workers_is_small(made_shards: Path) -> None:
    feed = make_feed(str(made_shards), small_recipe())
    assert len(pickle.dumps(feed._batches)) < 4000


def test_a_killed_worker_is_an_error_not_a_wait(made_shards: Path) -> None:
    feed = make_feed(str(made_shards), small_recipe(workers=1))
    iterator = iter(feed)
    next(iterator)
    me = psutil.Process()
    workers = [p for p in me.children(recursive=True) if p.pid in worker_ids(feed)]
    assert workers
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    begun = time.monotonic()
    with pytest.raises(CounterdubError) as died:
        for _ in range(50):
            next(iterator)
    assert died.value.code == "loader_died" and died.value.retryable
    assert time.monotonic() - begun < 60


def worker_ids(feed: ShardFeed) -> set[int]:
    (made,) = feed._running
    return {worker.pid for worker in made.gi_frame.f_locals["made"]._workers}  # type: ignore[attr-defined]
