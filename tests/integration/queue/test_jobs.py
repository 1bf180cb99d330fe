"""Jobs from request to end, through real brokers, databases and worker processes (null stages)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.integration.queue.rig import ALL, Rig
from tests.integration.queue.undisturbed import undisturbed

pytestmark = pytest.mark.usefixtures("null_stages")


def test_a_job_makes_what_the_command_line_makes(working: Rig, tmp_path: Path) -> None:
    job = working.submit("film", "other")
    ended = working.wait(job)
    assert ended.state == "done"
    assert set(working.states(job)) == {"done"}
    assert (ended.runs, ended.titles_ended, ended.titles_failed) == (ended.runs_ended, 2, 0)
    assert working.artifacts(job) == undisturbed(tmp_path, "film", "other")
    kinds = working.kinds(job)
    assert kinds[0] == "job_created" and kinds[-1] == "job_done"
    assert kinds.count("task_started") == kinds.count("task_done") == ended.runs
    assert max(run.computed for run in working.runs(job)) == 1


def test_a_second_job_of_the_same_video_finds_everything_done(working: Rig) -> None:
    working.wait(working.submit("again"))
    working.forget_calls()
    job = working.submit("again")
    working.wait(job)
    # The job's own tables tell when their titles were made.
    assert set(working.lines()) <= {"dataset"}
    assert not any(run.computed for run in working.runs(job) if run.stage != "dataset")


def test_a_title_goes_on_from_the_cast_of_the_one_before_it(working: Rig) -> None:
    job = working.submit("first", "second")
    working.wait(job)
    cast = working.run(job, "cast/es", "second")
    assert cast is not None and "previous" in cast.inputs


def test_a_title_does_not_wait_for_a_cast_that_will_never_be(working: Rig) -> None:
    working.trap("translation/es/0000", "fail")
    job = working.submit("alpha", "beta", languages=["es"])
    ended = working.wait(job)
    assert (ended.state, ended.titles_failed) == ("done", 0)
    assert working.kinds(job).count("title_done") == 2


def test_a_failed_language_is_left_out_and_the_others_go_on(working: Rig, tmp_path: Path) -> None:
    working.trap("quality/fr/0001", "fail")
    job = working.submit("half")
    assert working.wait(job).state == "done"
    files = working.artifacts(job)
    assert files["half/tracks/es.flac"] == undisturbed(tmp_path, "half", languages=["es"])["half/tracks/es.flac"]
    assert "half/tracks/fr.flac" not in files
    failed = working.run(job, "quality/fr/0001")
    assert failed is not None and failed.error is not None and failed.error["code"] == "made_to_fail"


def test_a_failed_title_does_not_stop_the_others(working: Rig) -> None:
    working.trap("ingest@bad", "fail")
    job = working.submit("bad", "good")
    ended = working.wait(job)
    assert (ended.state, ended.titles, ended.titles_failed) == ("done", 2, 1)
    files = working.artifacts(job)
    assert "good/tracks/es.flac" in files and "bad/tracks/es.flac" not in files
    assert {"title_failed", "title_done"} <= set(working.kinds(job))


def test_a_job_whose_titles_all_fail_has_failed(working: Rig) -> None:
    working.trap("ingest@worst", "fail")
    job = working.submit("worst")
    assert working.wait(job).state == "failed"
    assert working.kinds(job)[-1] == "job_failed"


def test_a_title_given_up_ends_though_a_task_of_it_goes_on(working: Rig) -> None:
    """What ends last would otherwise plan tasks that wait for the failed one for ever."""
    slow = working.trap("dubbing/es/0000", "hang")
    working.trap("control/0000", "hang")
    other = working.worker()
    job = working.submit("torn", languages=["es"], chunks=1)
    working.running(job, "dubbing/es/0000")
    working.running(job, "control/0000")
    working.trap("control/0000", "fail")
    (working.traps / "control+0000.hang").unlink()
    working.until(lambda: working.states(job).get("failed"))
    slow.unlink()
    assert working.wait(job).state == "failed"
    working.stop(other)


def test_videos_that_are_named_are_fetched_first(working: Rig) -> None:
    from shared.queue import job_commands
    from shared.settings.models import Settings

    source = job_commands.VideoSource("url", "clip.mp4", locator="https://example.org/clip.mp4")
    job, wakes = job_commands.create_job(
        working.database, working.store, job_commands.JobOrder([source], ["es"], Settings())
    )
    assert wakes == {"fetch": 1}
    working.waker.wake(wakes)
    assert working.wait(job).state == "done"
    assert "clip/tracks/es.flac" in working.artifacts(job)


def test_the_worker_of_the_package_starts_and_stops(rig: Rig) -> None:
    """As the command line starts it, without the tests' forking."""
    code = (
        "from shared.queue.service_settings import service_settings\n"
        "from shared.queue.worker.supervisor import run_worker\n"
        "import sys\n"
        f"run_worker({list(ALL)!r}, 1, service_settings(), [sys.executable, '-m', 'tests.integration.queue.nulls'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=rig.environment, cwd=ROOT)
    try:
        job = rig.submit("film", languages=["es"], chunks=1)
        assert rig.wait(job).state == "done"
        assert os.getpgid(rig.alive()[0].pid) != os.getpgid(process.pid)
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0
    assert not rig.alive(), "it says goodbye"
