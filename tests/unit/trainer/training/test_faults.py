"""What goes wrong in a training: said with a code, and nothing that was done is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from shared.core.errors import CounterdubError, EngineError, InputError, StorageError, UsageError
from tests.conftest import ROOT
from tests.unit.trainer.training.curve import curve
from tests.unit.trainer.training.feeds import SmallFeed, small, small_feed
from trainer.training import checkpoints
from trainer.training.folder import locked
from trainer.training.loop import train

EIGHT = ("optimiser.steps=8",)


def feed_with(**faults: Any) -> Any:
    return lambda data, recipe, rank, world: SmallFeed(recipe, rank, world, **faults)


def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(tmp_path: Path) -> None:
    recipe = small("tiny-en")
    with pytest.raises(EngineError) as caught:
        train(recipe, "", tmp_path, make_feed=feed_with(nan=5))
    assert caught.value.code == "loss_not_finite" and caught.value.details == {"step": 5}
    kept = torch.load(tmp_path / "nan-batch.pt", weights_only=True)
    assert kept["step"] == 5 and kept["batch"]["mel_p"].isnan().all() and kept["batch"]["video_p"].dtype == torch.uint8
    assert [path.name for path in checkpoints.steps(tmp_path / "checkpoints")] == ["step-00000004.pt"]
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["state"] == "failed" and state["error"]["code"] == "loss_not_finite"
    weights = checkpoints.load(tmp_path / "checkpoints" / "step-00000004.pt")["model"]
    assert all(value.isfinite().all() for value in weights.values())


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train(small("tiny-en", *EIGHT), "", tmp_path, make_feed=small_feed)
    before = curve(tmp_path)
    for more, key in ((("optimiser.rate=0.5",), "optimiser.rate"), (("objective.lambda_a=1",), "objective.lambda_a")):
        with pytest.raises(UsageError) as caught:
            train(small("tiny-en", *EIGHT, *more), "", tmp_path, make_feed=small_feed)
        assert caught.value.code == "other_recipe" and caught.value.details["key"] == key
    assert curve(tmp_path) == before
    train(small("tiny-en", *EIGHT, "running.log_every=3"), "", tmp_path, make_feed=small_feed)  # as good as the same
    (tmp_path / "recipe.toml").unlink()
    with pytest.raises(UsageError, match="another recipe"):
        train(small("tiny-en", *EIGHT, "optimiser.rate=0.5"), "", tmp_path, make_feed=small_feed)


def test_nothing_begun_is_nothing_to_refuse(tmp_path: Path) -> None:
    def empty(data: str, recipe: Any, rank: int, world: int) -> SmallFeed:
        raise InputError("No shots.", code="empty_dataset")

    with pytest.raises(InputError):
        train(small("tiny-en"), "", tmp_path, make_feed=empty)
    assert train(small("tiny-es", *EIGHT), "", tmp_path, make_feed=small_feed).step == 8


@pytest.mark.parametrize("damage", ["cut", "byte", "empty"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, damage: str) -> None:
    recipe = small("tiny-en")
    train(recipe, "", tmp_path / "whole", make_feed=small_feed)
    train(recipe, "", tmp_path / "run", make_feed=small_feed)
    newest = checkpoints.steps(tmp_path / "run" / "checkpoints")[0]
    data = bytearray(newest.read_bytes())
    if damage == "byte":
        data[len(data) // 2] ^= 0xFF
    damaged: dict[str, bytes] = {"cut": bytes(data[: len(data) // 3]), "byte": bytes(data), "empty": b""}
    newest.write_bytes(damaged[damage])
    with pytest.raises(InputError) as caught:
        checkpoints.load(newest)
    assert caught.value.code == "checkpoint_damaged"
    train(recipe, "", tmp_path / "run", make_feed=small_feed)
    assert curve(tmp_path / "run") == curve(tmp_path / "whole")


def test_if_none_is_whole_it_says_so(tmp_path: Path) -> None:
    train(small("tiny-en", *EIGHT), "", tmp_path, make_feed=small_feed)
    for path in checkpoints.steps(tmp_path / "checkpoints"):
        path.write_bytes(b"PK")
    with pytest.raises(InputError) as caught:
        train(small("tiny-en", *EIGHT), "", tmp_path, make_feed=small_feed)
    assert caught.value.code == "checkpoint_damaged"


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "theirs.pt")
    torch.save({"format": 1, "step": partial(print, "run by a careless loader")}, tmp_path / "hostile.pt")
    for name in ("theirs.pt", "hostile.pt"):
        with pytest.raises(InputError) as caught:
            checkpoints.load(tmp_path / name)
        assert caught.value.code == "not_a_checkpoint"


FULL = """
import resource, signal, sys
from pathlib import Path
import torch
from shared.core.errors import CounterdubError
from trainer.training import checkpoints
folder, big = Path(sys.argv[1]), {"step": 2, "model": torch.zeros(1_000_000)}
checkpoints.save(folder, {"step": 1, "model": torch.ones(1000)}, keep=1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
try:
    checkpoints.save(folder, big, keep=1)
except CounterdubError as error:
    print(error.code)
"""


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "io_error"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "step-00000001.pt"]
    assert checkpoints.load(tmp_path / "step-00000001.pt")["model"].sum() == 1000


def test_a_full_disk_stops_the_training_and_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        recipe = small("tiny-en", "running.keep=99", "running.checkpoint_every=1")
        with pytest.raises(StorageError) as caught:
            train(recipe, "", disk, make_feed=small_feed)
        assert caught.value.code == "disk_full" and caught.value.retryable
        left = checkpoints.steps(disk / "checkpoints")
        assert left and not list((disk / "checkpoints").glob(".*"))
        assert all(checkpoints.load(path)["step"] == checkpoints.step_of(path) for path in left)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(StorageError) as caught:
        train(small("tiny-en"), "", tmp_path, make_feed=small_feed)
    assert caught.value.code == "run_in_use" and caught.value.retryable
    assert train(small("tiny-en", *EIGHT), "", tmp_path, make_feed=small_feed).step == 8


def test_a_feed_that_ends_is_an_error_not_a_success(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        train(small("tiny-en"), "", tmp_path, make_feed=feed_with(ends=3))
    assert caught.value.code == "feed_ended"


@pytest.mark.parametrize("initial, code", [("nowhere", "initial_missing"), ("other", "other_model")])
def test_weights_to_start_from_must_be_there_and_fit(tmp_path: Path, initial: str, code: str) -> None:
    train(small("tiny-en", *EIGHT), "", tmp_path / "other", make_feed=small_feed)
    with pytest.raises(CounterdubError) as caught:
        train(small("tiny-b5", f"model.initial='{tmp_path / initial}'"), "", tmp_path / "run", make_feed=small_feed)
    assert caught.value.code == code and str(tmp_path) not in caught.value.message


def test_a_feed_is_closed_however_it_ends(tmp_path: Path) -> None:
    made: list[SmallFeed] = []

    def feed(data: str, recipe: Any, rank: int, world: int) -> SmallFeed:
        made.append(SmallFeed(recipe, rank, world, nan=1))
        return made[0]

    with pytest.raises(EngineError):
        train(small("tiny-en"), "", tmp_path, make_feed=feed)
    assert made[0].closed


def test_no_such_device(tmp_path: Path) -> None:
    for device in ("cuda:99", "abacus"):
        with pytest.raises(UsageError) as caught:
            train(small("tiny-en", f"running.device='{device}'"), "", tmp_path, make_feed=small_feed)
        assert caught.value.code == "no_device"
