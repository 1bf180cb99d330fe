"""The feed: windows that belong together, tracks by the recipe, going on exactly, and a training through the loop."""

from __future__ import annotations

from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from shared.core.errors import CounterdubError
from trainer.recipe import Recipe, load_recipe
from trainer.reproduce.feed import GAIN_DB, make_feed
from trainer.reproduce.scale import FULL
from trainer.reproduce.variants import MAIN, RECIPES, trainings
from trainer.training.loop import train

EVERY = {one.label: one for one in trainings(FULL) if one.group == MAIN}


def small(label: str, **changes: Any) -> Recipe:
    recipe = EVERY[label]._replace(steps=4).loaded()
    return recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"batch_size": 16, "same_title": 4, **changes})}
    )


def test_it_is_an_entry_point() -> None:
    assert entry_points(group="counterdub.feed")["cinema"].load() is make_feed


@pytest.mark.parametrize("label", RECIPES)
def test_streams_are_the_recipes(made_world: Path, label: str) -> None:
    recipe = small(label)
    feed = make_feed(str(made_world), recipe)
    batches = list(islice(feed, 6))
    for batch in batches:
        assert ("video_p" in batch) == (recipe.model.video is not None)
        assert ("mel_s" in batch) == (label != "SEP")
        assert batch["mel_p"].shape == (16, 1, 64, 76) and batch["mel_p"].dtype == torch.float32
        assert len(set(batch["shot"].tolist())) == 16
        assert max(np.bincount(batch["title"])) >= 4
        if "video_p" in batch:
            assert batch["video_p"].shape == (16, 8, 32, 32, 3) and batch["video_p"].dtype == torch.uint8
    heard = [feed.tracks[n] for batch in batches for n in {int(t) for t in batch["track_s"]}]
    wanted = {"EFJ": ["es", "fr", "ja", "es", "fr", "ja"], "AUD+EFJ": ["es", "fr", "ja", "es", "fr", "ja"]}
    single = {"ES": "es", "FR": "fr", "JA": "ja", "EN2": "en2", "SEP": "background", "SEP, two views": "background"}
    assert heard == wanted.get(label, [single.get(label, "orig")] * 6)


def test_picture_and_sounds_are_of_one_window(made_world: Path) -> None:
    mels, frames = np.load(made_world / "train.npy"), np.load(made_world / "train-frames.npy")
    feed = make_feed(str(made_world), small("ES"))
    batch = cast(dict[str, torch.Tensor], next(iter(feed)))
    for row, shot in enumerate(batch["shot"].tolist()):
        start = next(s for s in range(6) if np.array_equal(frames[shot, s : s + 8], batch["video_p"][row].numpy()))
        for name, track in (("mel_p", "track_p"), ("mel_s", "track_s")):
            stored = mels[shot, int(batch[track][row]), :, 10 * start : 10 * start + 76].astype(np.float32)
            gain = 10 * np.log10(batch[name][row, 0].numpy()) - stored
            assert np.ptp(gain) < 1e-3 and abs(gain.mean()) <= GAIN_DB


def test_it_goes_on_exactly(made_world: Path) -> None:
    recipe = small("EFJ")
    whole = list(islice(make_feed(str(made_world), recipe), 9))
    first = make_feed(str(made_world), recipe)
    list(islice(first, 5))
    later = make_feed(str(made_world), recipe)
    later.load_state_dict(first.state_dict())
    for one, other in zip(whole[5:], islice(later, 4), strict=True):
        first_of, second_of = cast(dict[str, torch.Tensor], one), cast(dict[str, torch.Tensor], other)
        assert all(torch.equal(first_of[name], second_of[name]) for name in first_of)
    with pytest.raises(CounterdubError, match="not the one") as error:
        make_feed(str(made_world), small("EFJ", seed=1)).load_state_dict(first.state_dict())
    assert error.value.code == "other_data"


def test_other_recipes_and_folders_are_refused(made_world: Path, tmp_path: Path) -> None:
    with pytest.raises(CounterdubError) as error:
        make_feed(str(made_world), load_recipe("tiny-en"))
    assert error.value.code == "bad_setting"
    with pytest.raises(CounterdubError) as error:
        make_feed(str(tmp_path), small("EN"))
    assert error.value.code == "empty_dataset"


@pytest.mark.parametrize("label", ["SEP", "AUD"])
def test_it_trains_through_the_loop(made_world: Path, tmp_path: Path, label: str) -> None:
    summary = train(small(label), str(made_world), tmp_path / "run")
    assert summary.step == 4 and summary.checkpoint.exists()
