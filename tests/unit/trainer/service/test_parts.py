"""The parts of a training's task: its commands, what failed children say, metrics as they come, checkpoints."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.core.errors import CounterdubError, StorageError
from shared.core.store import Store
from shared.ledger.training_tables import Training
from shared.observability.internal_errors import without_folders
from shared.queue.service_settings import ServiceSettings
from shared.queue.training_notes import MetricPoint
from trainer.service import artifacts, child_process, commands
from trainer.service.folders import Folders, sweep
from trainer.service.progress import Follower


def test_one_process_a_card_unless_the_operator_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,3")
    assert commands.processes(ServiceSettings()) == 3
    assert commands.processes(ServiceSettings(trainer_processes=2)) == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert commands.processes(ServiceSettings()) == 1


def test_the_command_names_no_path_and_all_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(id="trn_1", recipe="tiny-en", overrides={"optimiser": {"steps": 5}})
    training.initial = {"training": "trn_0", "name": "checkpoint.pt", "sha256": "0" * 64, "size": 1}
    command = commands.training(training, Folders(tmp_path), 2)
    assert command[command.index("--nproc-per-node") + 1] == "2"
    assert str(tmp_path) not in " ".join(command)
    said = {command[at + 1] for at, part in enumerate(command) if part == "--set"}
    assert {"optimiser.steps=5", 'model.initial="initial.pt"'} <= said
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert "running.compile=false" in commands.training(training, Folders(tmp_path), 2)


def test_a_machine_without_torch_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(CounterdubError) as caught:
        commands.check_installed()
    assert caught.value.code == "package_missing"


def test_paths_are_left_out_of_what_is_told() -> None:
    told = without_folders(
        'File "/srv/a b/c.py", in /home/x/.venv/lib/torch/nn.py: ~/secret/k.pem; 3/4 of https://a.org/b/c'
    )
    assert "/srv" not in told and "/home" not in told and "secret" not in told
    assert "nn.py" in told and "3/4" in told and "https://a.org/b/c" in told


def test_what_a_child_says_is_told_before_what_its_launcher_says() -> None:
    log = (
        "ValueError: bad\nE1125 torch/distributed/elastic/x.py failed\n  torch.distributed.elastic.ChildFailedError: \n"
    )
    plain = child_process.failure(1, {}, log)
    assert plain.code == "training_failed" and not plain.details
    assert plain.message == "The training ended with an error: ValueError: bad. The log of the worker says more."
    killed = child_process.failure(1, {}, "Signal 9 (SIGKILL) received by PID 7")
    assert (killed.code, killed.retryable) == ("training_killed", True)
    assert child_process.failure(-signal.SIGTERM, {}, "").code == "training_killed"
    twice = json.dumps({"error": {"code": "disk_full", "message": "Full.", "retryable": True}}, indent=1)
    own = child_process.failure(3, child_process.printed(f"noise\n{twice}\n{twice}"), log)
    assert (own.code, own.retryable) == ("disk_full", True)


def test_lines_are_taken_whole_and_again_after_the_file_is_another(tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []
    away = [True]

    def write(points: Sequence[MetricPoint], share: float, aloud: bool) -> None:
        if away and away.pop():
            raise StorageError("away", code="database_away", retryable=True)
        told.extend((point.step, point.kind) for point in points)
        assert share == points[-1].step / 10

    follower = Follower(tmp_path, write)
    follower.look(last=True)
    (tmp_path / "state.json").write_text('{"steps": 10}')
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 1, "loss": NaN}\n{"step": 1, "held_out": 3}\nbroken\n{"step": 2')
    follower.look(last=True)
    assert told == [], "the database was away"
    with metrics.open("a") as file:
        file.write(', "loss": 1.0}\n')
    follower.look(last=True)
    assert told == [(1, "train"), (1, "validation"), (2, "train")]
    other = tmp_path / "other"
    other.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n')
    other.replace(metrics)
    told.clear()
    follower.look(last=True)
    assert [step for step, _ in told] == [1, 2, 3]


def test_a_checkpoint_goes_to_the_store_and_comes_back(tmp_path: Path) -> None:
    store, run, other = Store(str(tmp_path / "store")), tmp_path / "run", tmp_path / "other"
    folder = run / "checkpoints"
    folder.mkdir(parents=True)
    assert artifacts.newest(run) is None
    (folder / "last").write_text("../../secret.pt")
    assert artifacts.newest(run) is None, "not outside of the folder"
    (folder / "step-00000007.pt").write_bytes(b"weights")
    (folder / "last").write_text("step-00000007.pt")
    found = artifacts.newest(run)
    assert found is not None and found[0] == 7
    blob = artifacts.store_checkpoint(store, found[1])
    assert blob is not None
    found[1].unlink()
    kept = {"step": 7, "name": blob.name, "sha256": blob.sha256, "size": blob.size}
    artifacts.restore(store, kept, other, [{"step": 5}, {"step": 7}])
    again = artifacts.newest(other)
    assert again is not None and again[1].read_bytes() == b"weights"
    assert again[1].stat().st_nlink == 1, "the training may remove it, and the store's stays"
    assert (other / "metrics.jsonl").read_text() == '{"step": 5}\n{"step": 7}\n'
    store.remove(blob)
    with pytest.raises(FileNotFoundError):
        store.fetch(blob).read_bytes()


def test_folders_of_ended_trainings_go_after_some_days(tmp_path: Path) -> None:
    for name in ("old", "new", "alive"):
        (tmp_path / name).mkdir()
    for name in ("old", "alive"):
        os.utime(tmp_path / name, (0, 0))
    sweep(tmp_path, {"alive"})
    assert {path.name for path in tmp_path.iterdir()} == {"new", "alive"}
    sweep(tmp_path / "none", set())
