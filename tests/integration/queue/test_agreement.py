"""Both executors make the same of the same faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.pipeline.events import RunEvent
from tests.integration.queue.rig import Rig
from tests.integration.queue.undisturbed import undisturbed

pytestmark = pytest.mark.usefixtures("null_stages")


@pytest.mark.parametrize("late", ["level", "track/fr"])
def test_a_language_that_fails_after_others_were_made_with_it(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """What was made of all languages is made again without the one that failed."""
    fails = "quality/es/0000"
    hang = rig.trap(fails, "hang")
    for _ in range(2):
        rig.worker()
    job = rig.submit("film")
    rig.until(lambda: (run := rig.run(job, late)) and run.state == "done")
    rig.trap(fails, "fail")
    hang.unlink()
    assert rig.wait(job).state == "done"

    traps = tmp_path / "in process"
    traps.mkdir()
    name = fails.replace("/", "+")
    (traps / f"{name}.hang").touch()
    monkeypatch.setenv("COUNTERDUB_TEST_TRAPS", str(traps))

    def listen(event: RunEvent) -> None:
        if event.kind == "task_done" and event.task == late:
            (traps / f"{name}.fail").touch()
            (traps / f"{name}.hang").unlink(missing_ok=True)

    assert rig.artifacts(job) == undisturbed(tmp_path, "film", listener=listen)
