"""What a process cannot see of itself, whoever started it sees: native calls that keep every thread, and SIGSTOP."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from shared.queue import job_commands
from shared.queue.service_settings import ServiceSettings
from shared.queue.worker.liveness import LivenessCheck
from tests.integration.queue.nulls import FROZEN_S
from tests.integration.queue.rig import Rig, is_running
from tests.integration.queue.undisturbed import undisturbed

pytestmark = pytest.mark.usefixtures("null_stages")


def test_a_time_limit_holds_for_a_call_that_keeps_all_threads(rig: Rig, tmp_path: Path) -> None:
    rig.trap("translation/es/0000", "frozen")
    worker = rig.worker(COUNTERDUB_TIME_LIMITS_S='{"translation": 1}')
    began = time.monotonic()
    job = rig.submit("film")
    assert rig.wait(job).state == "done"
    assert time.monotonic() - began < FROZEN_S / 2
    run = rig.run(job, "translation/es/0000")
    assert run is not None and run.attempt == 2
    told = [event.data["error"]["code"] for event in rig.events(job) if event.kind == "task_failed"]
    assert told == ["time_limit"]
    assert rig.artifacts(job) == undisturbed(tmp_path, "film")
    assert is_running(worker)


def test_cancellation_is_heard_by_a_call_that_keeps_all_threads(rig: Rig) -> None:
    rig.trap("speakers", "frozen")
    rig.worker(COUNTERDUB_CANCEL_S="1")
    job = rig.submit("film")
    rig.running(job, "speakers")
    began = time.monotonic()
    job_commands.cancel_job(rig.database, job)
    assert rig.wait(job).state == "cancelled"
    assert time.monotonic() - began < FROZEN_S / 2
    other = rig.submit("other")
    assert rig.wait(other).state == "done"


def test_a_process_that_is_stopped_is_replaced(rig: Rig, tmp_path: Path) -> None:
    hang = rig.trap("speakers", "hang")
    worker = rig.worker(COUNTERDUB_SILENT_S="2")
    job = rig.submit("film")
    run = rig.running(job, "speakers")
    (victim,) = [found.pid for found in rig.alive() if found.id == run.owner]
    os.kill(victim, signal.SIGSTOP)
    hang.unlink()
    assert rig.wait(job).state == "done"
    assert rig.artifacts(job) == undisturbed(tmp_path, "film")
    assert not is_running(victim) and is_running(worker)


def test_silence_while_nobody_looked_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    settings = ServiceSettings(data=tmp_path, silent_s=10.0)
    oversight = LivenessCheck(None, None, settings)  # neither is asked for pulses
    pulses = {"wrk_1": tmp_path / "wrk_1"}
    assert oversight.find_silent(pulses) == []
    moment += 3600
    assert oversight.find_silent(pulses) == []
    for _ in range(12):
        moment += 1
        found = oversight.find_silent(pulses)
    assert found == ["wrk_1"]
    os.utime(pulses["wrk_1"], (1, 1))
    assert oversight.find_silent(pulses) == []
