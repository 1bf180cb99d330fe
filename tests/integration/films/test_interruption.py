"""Ctrl-C, ``kill -9`` in any stage, two runs at once: what is finished stays finished."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from shared.pipeline.stage import stage_names
from tests.integration.films.conftest import STAGES, Battered

pytestmark = pytest.mark.slow


def test_ctrl_c_exits_with_130_and_says_so(battered: Battered) -> None:
    assert battered.interrupted.code == 130
    assert battered.interrupted.error["code"] == "cancelled"
    assert battered.interrupted.error["retryable"]
    assert "Traceback" not in battered.interrupted.stderr


def test_what_was_finished_before_ctrl_c_is_found_by_the_next_run(battered: Battered) -> None:
    next_run = [row for row in battered.log if row["run"] == "language"]
    assert next_run[0] == {"run": "language", "task": "ingest", "cached": True}


def test_two_runs_at_once_into_one_folder_the_second_is_refused(battered: Battered) -> None:
    assert battered.second.code == 3
    assert battered.second.error["code"] == "locked"
    assert battered.second.error["retryable"]
    assert "another folder" in battered.second.error["message"]


def test_the_list_of_stages_is_complete() -> None:
    # The services alone fetch; only engines that clone are shown references; auditions are made where they are wanted,
    # subtitles read and aligned where they are given.
    assert {*STAGES, "fetch", "references", "audition", "subtitles", "alignment"} == set(stage_names())


@pytest.mark.parametrize("stage", STAGES)
def test_kill_9_in_stage(battered: Battered, stage: str) -> None:
    """Killed there, and neither the run that was killed nor any after it did again what had been finished before."""
    assert battered.signals[stage] == signal.SIGKILL
    before = {row["task"] for row in battered.log if STAGES.index(row["run"]) < STAGES.index(stage)}
    again = [
        row
        for row in battered.log
        if STAGES.index(row["run"]) >= STAGES.index(stage) and row["task"] in before and not row["cached"]
    ]
    assert not again


def test_after_all_kills_the_run_ends_with_every_task_found_and_none_computed(battered: Battered) -> None:
    final = battered.final
    assert final.code == 0, final.stdout + final.stderr
    computed = Counter(row["task"] for row in battered.log if not row["cached"])
    assert set(computed.values()) == {1}, "each task was computed once over all the runs"
    assert final.data["computed_tasks"] == 0
    assert final.data["cached_tasks"] == len({row["task"] for row in battered.log}) > 30


def test_after_all_kills_the_result_is_whole(battered: Battered) -> None:
    (title,) = battered.final.data["titles"]
    assert title["state"] == "done" and title["tracks"] == ["orig", "control", "en", "es"]
    assert battered.final.data["accepted"] + battered.final.data["rejected"] == 8
    assert (battered.out / "report.html").stat().st_size > 10_000
    assert not list((battered.out / ".counterdub" / "store" / "tmp").iterdir()), "half-made files are swept away"
    assert not list(battered.out.rglob("*.part"))
