"""Jobs from request to end, through real brokers, databases and worker processes (null stages)."""

from __future__ import annotations

from tests.services.rig import Rig


def test_a_job_runs_to_its_end(rig: Rig) -> None:
    rig.worker()
    job = rig.submit("film", "other", then_train=None)
    ended = rig.wait(job)
    assert ended.state == "done"
    assert set(rig.states(job)) == {"done"}
    assert (ended.runs, ended.titles_ended, ended.titles_failed) == (ended.runs_ended, 2, 0)
    files = rig.artifacts(job)
    assert {"film/tracks/es.flac", "film/tracks/orig.flac", "other/stems/background.flac", "pairs.parquet"} <= set(
        files
    )
    events = rig.events(job)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].kind == "job_done"
    assert set(rig.lines().values()) == {1, 2}, "each task once for each title"
