"""The loop: what it leaves behind, and that it goes on exactly where it stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from shared.core.errors import Cancelled
from tests.unit.trainer.training.curve import curve
from tests.unit.trainer.training.feeds import small, small_feed
from trainer.recipe import Recipe, load_recipe
from trainer.training import checkpoints
from trainer.training.loop import TrainingSummary, train


def run(recipe: Recipe, out: Path, **more: Any) -> TrainingSummary:
    return train(recipe, "", out, make_feed=small_feed, **more)


def stopping_at(step: int) -> Callable[[int, int, Mapping[str, Any]], None]:
    def hear(done: int, steps: int, line: Mapping[str, Any]) -> None:
        if done == step and "loss" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    return hear


def weights(path: Path) -> dict[str, Any]:
    return checkpoints.load(path)["model"]


def test_a_run_leaves_all_that_it_promises(tmp_path: Path) -> None:
    recipe = small("tiny-b5", "model.initial=''", "optimiser.ema=0.9")
    summary = run(recipe, tmp_path)
    assert summary.step == 12 and summary.checkpoint.is_file()
    lines = curve(tmp_path)
    logged = [line for line in lines if "loss" in line]
    assert [line["step"] for line in logged] == list(range(1, 13))
    assert set(logged[0]) == {
        "step", "epoch", "loss", "loss/v_p|a_p", "loss/v_s|a_s", "loss/v_p|a_s", "loss/v_s|a_p", "loss/v_p|v_s",
        "loss/a_p|a_s", "temperature", "gradient_norm", "rate", "skipped",
    }  # fmt: skip
    terms = recipe.weights()
    assert logged[3]["loss"] == pytest.approx(sum(terms[name] * logged[3][f"loss/{name}"] for name in terms), rel=1e-5)
    measured = [line for line in lines if "held_out" in line]
    assert [line["step"] for line in measured] == [0, 6, 12]
    assert measured[0]["held_out"] == 6 and measured[0]["chance"] == pytest.approx(1 / 6)
    assert {"r1/audio-video", "r5/video-audio", "r10/es-orig", "r1/es-video"} <= set(measured[0])
    assert [path.name for path in checkpoints.steps(tmp_path / "checkpoints")] == [
        "step-00000012.pt", "step-00000008.pt", "step-00000004.pt",
    ]  # fmt: skip
    assert (tmp_path / "checkpoints" / "last").read_text() == "step-00000012.pt"
    assert load_recipe(str(tmp_path / "recipe.toml")) == recipe
    assert json.loads((tmp_path / "state.json").read_text())["state"] == "done"
    assert list((tmp_path / "tensorboard").glob("events.*"))
    assert "Retrieval on held-out shots" in (tmp_path / "curves.html").read_text()


def test_the_callers_arithmetic_is_left_as_it_was(tmp_path: Path) -> None:
    subnormal = torch.full((64,), torch.finfo(torch.float32).tiny)
    before = torch.get_num_threads()
    run(small("tiny-en", f"running.threads={before + 1}", "optimiser.steps=1"), tmp_path)
    assert (subnormal / 2).max().item() > 0 and torch.get_num_threads() == before


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a processor")
def test_compiled_towers_learn_the_same(tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    found = []
    for way in ("false", "true"):
        counters.clear()
        recipe = small("tiny-en", "optimiser.steps=3", f"running.compile={way}")
        run(recipe, tmp_path / way)
        found.append([line["loss"] for line in curve(tmp_path / way) if "loss" in line])
    assert counters["stats"]["unique_graphs"] > 0, "nothing was compiled"
    names = [set(weights(checkpoints.steps(tmp_path / way / "checkpoints")[0])) for way in ("false", "true")]
    assert names[0] == names[1], "a compiled training's checkpoint is read as any other"
    assert len(found[0]) == 3 and found[1] == pytest.approx(found[0], rel=1e-3)


@pytest.mark.parametrize(
    "name, more",
    [
        ("tiny-efj", ()),
        ("tiny-b5", ("model.initial=''", "optimiser.ema=0.9", "objective.learn_temperature=true")),
        ("tiny-en", ("objective.chunk=3",)),
        ("tiny-aud-efj", ()),
        ("tiny-sep", ("objective.loss=sigmoid", "objective.learn_temperature=true")),
    ],
)
@pytest.mark.parametrize("step", [3, 7])
def test_it_goes_on_bit_for_bit(tmp_path: Path, name: str, more: tuple[str, ...], step: int) -> None:
    recipe = small(name, *more)
    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(Cancelled, match=f"step {step}"):
        run(recipe, tmp_path / "halved", listener=stopping_at(step))
    assert json.loads((tmp_path / "halved" / "state.json").read_text())["state"] == "stopped"
    torch.rand(3)  # what another process did to the generators must not matter
    halved = run(recipe, tmp_path / "halved")
    assert curve(tmp_path / "halved") == curve(tmp_path / "whole")
    one, other = weights(whole.checkpoint), weights(halved.checkpoint)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_masks_and_order_follow_the_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        run(small("tiny-en", f"running.seed={seed}", "optimiser.steps=3"), tmp_path / name)
    assert curve(tmp_path / "one") == curve(tmp_path / "same") != curve(tmp_path / "other")


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    recipe = small("tiny-en")
    first, before = run(recipe, tmp_path), curve(tmp_path)
    again = run(recipe, tmp_path)
    assert again == first and curve(tmp_path) == before


def test_fresh_starts_over(tmp_path: Path) -> None:
    run(small("tiny-en"), tmp_path)
    (tmp_path / "mine.txt").write_text("a user's file")
    run(small("tiny-es", "optimiser.steps=3"), tmp_path, fresh=True)
    assert [line["step"] for line in curve(tmp_path) if "loss" in line] == [1, 2, 3]
    assert len(checkpoints.steps(tmp_path / "checkpoints")) == 1
    assert (tmp_path / "mine.txt").exists()


def test_it_learns(tmp_path: Path) -> None:
    recipe = small("tiny-efj", "optimiser.steps=120", "running.validate_every=120", "optimiser.rate=0.01")
    found = run(recipe, tmp_path).retrieval
    before = curve(tmp_path)[0]
    losses = [line["loss"] for line in curve(tmp_path) if "loss" in line]
    assert losses[-1] < 0.8 * losses[0]
    # Six held-out shots only show the direction; tests/unit/trainer/training/test_learning.py asks for more.
    assert all(found[name] > before[name] for name in ("r1/audio-video", "r1/es-orig", "r1/es-video"))


def test_a_training_starts_from_another_ones_weights(tmp_path: Path) -> None:
    first = run(small("tiny-b3", "optimiser.ema=0.5"), tmp_path / "b3")
    recipe = small("tiny-b5", f"model.initial='{tmp_path / 'b3'}'", "optimiser.rate=1e-12", "optimiser.steps=1")
    second = run(recipe, tmp_path / "b5")
    taken, given = weights(second.checkpoint), checkpoints.load(first.checkpoint)["ema"]
    assert all(torch.allclose(taken[key], given[key], atol=1e-6) for key in given)


def test_bf16_and_parts_stay_near_fp32(tmp_path: Path) -> None:
    for name, more in (("fp32", ()), ("bf16", ("running.precision=bf16",)), ("parts", ("objective.chunk=2",))):
        run(small("tiny-en", "optimiser.steps=4", *more), tmp_path / name)
    losses = {
        name: [line["loss"] for line in curve(tmp_path / name) if "loss" in line] for name in ("fp32", "bf16", "parts")
    }
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05) and losses["bf16"] != losses["fp32"]
    assert losses["parts"] == pytest.approx(losses["fp32"], rel=1e-4)
