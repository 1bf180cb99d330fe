"""Trainings that wait: for a job to end, or for enough pairs."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from sqlalchemy import select

from shared.core.edits import LineAddress
from shared.ledger.database import locked_job
from shared.ledger.tables import Job
from shared.ledger.training_tables import Training
from shared.queue import job_commands, trainings
from shared.queue.trainings import TrainingOrder
from tests.integration.queue.rig import Rig
from tests.integration.queue.trainings.begun import job, row

pytestmark = pytest.mark.usefixtures("null_stages")


def test_a_job_that_is_to_train_ends_and_a_training_begins(training: Rig) -> None:
    begun = training.submit("lesson", languages=["es"], then_train="tiny-en")
    ended = training.wait(begun)
    assert (ended.state, training.kinds(begun)[-1]) == ("done", "job_done")
    ours = ended.summary["training"]
    found = row(training, ours)
    assert (found.recipe, found.jobs, found.from_job) == ("tiny-en", [begun], begun)
    training.waker.wake(
        job_commands.edit_line(
            training.database, training.store, begun, LineAddress(None, "es", "u0001"), "Buenos días."
        )
    )
    assert training.wait(begun).summary["training"] == ours, "once"
    with training.database.read() as session:
        assert session.scalars(select(Training.id).where(Training.from_job == begun)).all() == [ours]


def wait_for_pairs(rig: Rig, pairs: int, *languages: str, key_id: str | None = None) -> str:
    order = TrainingOrder(
        "tiny-en", {"optimiser": {"steps": 5}}, wanted={"accepted_pairs": pairs, "languages": list(languages)}
    )
    training, wakes = trainings.create_training(rig.database, order, key_id=key_id)
    rig.waker.wake(wakes)
    return training


def test_a_training_begins_when_there_are_enough_pairs(training: Rig) -> None:
    """Null jobs have one accepted row of es for each title."""
    with training.database.read() as session:
        there = sum(trainings.accepted(session, None, ["es"]).values())
    ours = wait_for_pairs(training, there + 2, "es")
    for name in ("first", "second"):
        assert training.job(ours).state == "waiting"
        training.wait(training.submit(name, languages=["es"], chunks=1))
    training.until(lambda: training.job(ours).state != "waiting")
    kinds = training.kinds(ours)
    assert kinds[:2] == ["training_created", "training_triggered"] and kinds.count("training_triggered") == 1
    at_once = wait_for_pairs(training, there + 2, "es")
    assert training.job(at_once).state == "running"


def test_one_that_waits_is_cancelled_and_waits_again(rig: Rig) -> None:
    ours = wait_for_pairs(rig, 10)
    job_commands.cancel_job(rig.database, ours)
    assert rig.job(ours).state == "cancelled" and rig.kinds(ours)[-1] == "training_cancelled"
    trainings.resume_training(rig.database, ours)
    assert rig.job(ours).state == "waiting"
    job(rig)
    job_commands.cancel_job(rig.database, ours)
    assert trainings.resume_training(rig.database, ours) == {"trainer": 1}, "there are twelve now"


def test_two_jobs_that_cross_the_threshold_at_once_start_one_training(rig: Rig) -> None:
    """Neither has enough alone, and neither sees the other's pairs before it is committed."""
    ours = wait_for_pairs(rig, 20)
    jobs = [unfinished(rig) for _ in range(2)]
    both, started = threading.Barrier(2), []

    def end(job_id: str) -> None:
        with rig.database.write() if not rig.database.is_sqlite else together(both, rig) as session:
            found = locked_job(session, job_id)
            assert found is not None
            found.state, found.summary = "done", {"accepted": 12, "rejected": 0, "tracks": {"es": 12}}
            session.flush()
            if not rig.database.is_sqlite:
                both.wait(10)
            started.append(trainings.start_waiting(session, None))

    threads = [threading.Thread(target=end, args=(job_id,)) for job_id in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(started, key=bool) == [{}, {"trainer": 1}]
    assert sorted(row(rig, ours).jobs) == sorted(jobs)
    assert rig.kinds(ours).count("training_triggered") == 1
    assert len(rig.runs(ours)) == 1


def together(both: threading.Barrier, rig: Rig) -> Any:
    """SQLite lets nobody else begin to write: both try at once."""
    both.wait(10)
    return rig.database.write()


def test_one_that_is_entered_while_the_last_job_ends_misses_nothing(rig: Rig) -> None:
    """The job's end does not see the training yet, nor it the job's pairs: whoever comes second sees both."""
    last = unfinished(rig)
    ended, entered = threading.Event(), []

    def enter() -> None:
        ended.wait(10)
        entered.append(wait_for_pairs(rig, 12))

    thread = threading.Thread(target=enter)
    thread.start()
    with rig.database.write() as session:
        found = locked_job(session, last)
        assert found is not None
        found.state, found.summary = "done", {"accepted": 12, "rejected": 0, "tracks": {}}
        session.flush()
        assert trainings.start_waiting(session, None) == {}
        ended.set()
        thread.join(0.5)
        assert thread.is_alive(), "it waits for this transaction"
    thread.join(30)
    assert rig.job(entered[0]).state == "running"


def test_other_callers_pairs_do_not_count(rig: Rig) -> None:
    from services.api.auth.keys import create_key

    mine, theirs = (create_key(rig.database, name, ["jobs:write"])[0] for name in ("mine", "theirs"))
    job(rig, key_id=theirs)
    ours = wait_for_pairs(rig, 12, key_id=mine)
    assert rig.job(ours).state == "waiting"
    job(rig, key_id=mine)
    assert rig.job(wait_for_pairs(rig, 12, key_id=mine)).state == "running"


def unfinished(rig: Rig) -> str:
    with rig.database.write() as session:
        found = Job(id=f"job_{os.urandom(16).hex()}", languages=["es"], settings={}, titles=1)
        session.add(found)
        return found.id
