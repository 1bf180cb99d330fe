"""Real processes on real shards: stopped, killed, going on, several at once."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.unit.trainer.material import make_shards
from tests.unit.trainer.training.command import started, wait_for_step
from tests.unit.trainer.training.curve import curve
from trainer.training import checkpoints

LONG = ("optimiser.steps=60", "data.workers=1", "data.same_title=2", "running.validate_every=20", "data.held_out=0.4")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), titles=4, shots=4, size=(48, 32))


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    said = ended(started(out, shards, *LONG), 0)
    assert said["step"] == 60 and Path(said["checkpoint"]).is_file()
    return out


def ended(process: Any, code: int) -> dict[str, Any]:
    """The object that a command printed, once it has ended with this code."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, err
    said: dict[str, Any] = json.loads(out)
    return said


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_goes_on(whole: Path, shards: Path, tmp_path: Path) -> None:
    process = started(tmp_path, shards, *LONG)
    wait_for_step(tmp_path, 9, process)
    process.send_signal(signal.SIGTERM)
    assert ended(process, 130)["error"]["code"] == "cancelled"
    stopped = json.loads((tmp_path / "state.json").read_text())
    assert stopped["state"] == "stopped" and 9 <= stopped["step"] < 60
    assert checkpoints.steps(tmp_path / "checkpoints")[0].name == checkpoints.name_of(stopped["step"])
    ended(started(tmp_path, shards, *LONG, "data.workers=2"), 0)
    assert curve(tmp_path) == curve(whole)


@pytest.mark.slow
def test_after_sigkill_it_goes_on_from_the_last_checkpoint(whole: Path, shards: Path, tmp_path: Path) -> None:
    process = started(tmp_path, shards, *LONG)
    wait_for_step(tmp_path, 14, process)
    helpers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert helpers and not psutil.wait_procs(helpers, timeout=30)[1]
    assert checkpoints.step_of(checkpoints.steps(tmp_path / "checkpoints")[0]) % 4 == 0
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 15, "lo')  # what a kill can leave
    ended(started(tmp_path, shards, *LONG, "data.workers=0"), 0)
    assert curve(tmp_path) == curve(whole)


@pytest.mark.slow
def test_one_training_a_folder(shards: Path, tmp_path: Path) -> None:
    process = started(tmp_path, shards, *LONG, "optimiser.steps=10000")
    wait_for_step(tmp_path, 1, process)
    assert ended(started(tmp_path, shards, *LONG), 3)["error"]["code"] == "run_in_use"
    process.send_signal(signal.SIGINT)
    assert ended(process, 130)["error"]["code"] == "cancelled"


@pytest.mark.slow
def test_torchrun_trains_on_two_and_sigterm_saves(shards: Path, tmp_path: Path) -> None:
    options = (*LONG, "data.batch_size=2", "data.same_title=0")
    process = started(tmp_path, shards, *options, "optimiser.steps=10000", processes=2)
    wait_for_step(tmp_path, 9, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=600)
    stopped = json.loads((tmp_path / "state.json").read_text())
    assert stopped["state"] == "stopped"
    path = checkpoints.steps(tmp_path / "checkpoints")[0]
    assert path.name == checkpoints.name_of(stopped["step"]) and len(checkpoints.load(path)["processes"]) == 2


@pytest.mark.parametrize(
    "options, code, error",
    [
        (("optimiser.rate=-1",), 2, "bad_setting"),
        (("data.languages=['ja']",), 3, "no_such_track"),
        (("data.languages=['es']", "model.initial=nowhere"), 2, "initial_missing"),
    ],
)
def test_what_cannot_begin_says_why(
    shards: Path, tmp_path: Path, options: tuple[str, ...], code: int, error: str
) -> None:
    said = ended(started(tmp_path / "run", shards, *LONG, *options, recipe="tiny-efj"), code)
    assert said["error"]["code"] == error
    assert not list(tmp_path.rglob("*.pt"))
