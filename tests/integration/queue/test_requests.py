"""What callers may ask of a job: cancel, retry, change a line, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from shared.core.edits import LineAddress
from shared.core.errors import UsageError
from shared.ledger.tables import Base, Edit, Title
from shared.pipeline import publish
from shared.queue import job_commands
from shared.queue.worker.task_execution import Runner
from tests.integration.queue.rig import ALL, Rig
from tests.integration.queue.undisturbed import undisturbed

pytestmark = pytest.mark.usefixtures("null_stages")


def retry(rig: Rig, job: str) -> None:
    rig.waker.wake(job_commands.retry_job(rig.database, rig.store, job))


def refused(code: str, action: object, *arguments: object) -> None:
    with pytest.raises(UsageError) as caught:
        action(*arguments)  # type: ignore[operator]
    assert caught.value.code == code


def test_a_job_that_nobody_has_begun_is_cancelled_at_once(rig: Rig) -> None:
    job = rig.submit("film", "other")
    job_commands.cancel_job(rig.database, job)
    ended = rig.job(job)
    assert (ended.state, ended.titles_ended, ended.runs) == ("cancelled", 2, ended.runs_ended)
    assert rig.kinds(job) == ["job_created", "plan_grew", "plan_grew", "job_cancelling", "job_cancelled"]
    refused("job_ended", job_commands.cancel_job, rig.database, job)
    rig.worker()
    retry(rig, job)
    assert rig.wait(job).state == "done"


def test_a_stage_hears_of_the_cancellation_and_a_retry_goes_on_from_there(working: Rig, tmp_path: Path) -> None:
    trap = working.trap("dubbing/es/0001", "hang")
    job = working.submit("stopped")
    working.running(job, "dubbing/es/0001")
    job_commands.cancel_job(working.database, job)
    ended = working.wait(job)
    assert (ended.state, ended.runs) == ("cancelled", ended.runs_ended)
    assert not {"ready", "waiting", "running"} & working.states(job).keys()
    trap.unlink()
    before = working.lines()
    retry(working, job)
    assert working.wait(job).state == "done"
    again = working.lines() - before
    assert not before.keys() & again.keys() - {"dubbing/es/0001"}, "nothing that had finished is done again"
    assert working.artifacts(job) == undisturbed(tmp_path, "stopped")
    assert working.kinds(job)[-1] == "job_done"


def test_a_job_is_cancelled_and_retried_in_its_last_task(working: Rig) -> None:
    trap = working.trap("dataset", "hang")
    job = working.submit("last", languages=["es"])
    working.running(job, "dataset")
    job_commands.cancel_job(working.database, job)
    assert working.wait(job).state == "cancelled"
    trap.unlink()
    working.forget_calls()
    retry(working, job)
    assert working.wait(job).state == "done"
    assert set(working.lines()) <= {"dataset"}


def test_a_job_is_cancelled_while_its_title_is_laid_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    job = rig.submit("laid", languages=["es"], chunks=1)
    real = publish.layout

    def late(title: Any) -> Any:
        job_commands.cancel_job(rig.database, job)
        return real(title)

    monkeypatch.setattr(publish, "layout", late)
    runner = Runner(rig.settings, ALL, rig.waker)
    runner.start()
    rig.until(lambda: not sum(runner.work(queue) for queue in ALL))
    runner.stop()
    assert rig.job(job).state == "cancelled"


def test_only_what_failed_is_done_again(working: Rig, tmp_path: Path) -> None:
    trap = working.trap("dubbing/fr/0001", "fail")
    job = working.submit("mended")
    assert working.wait(job).state == "done"
    assert "mended/tracks/fr.flac" not in working.artifacts(job)
    trap.unlink()
    before = working.lines()
    retry(working, job)
    working.wait(job)
    again = set(working.lines() - before)
    assert working.artifacts(job) == undisturbed(tmp_path, "mended")
    assert "dubbing/fr/0001" in again
    assert not [
        task for task in again if task.startswith(("ingest", "separation", "translation", "dubbing/es", "stems"))
    ]
    refused("nothing_to_retry", job_commands.retry_job, working.database, working.store, job)


def test_a_failed_title_is_retried_and_the_finished_one_is_left_alone(working: Rig, tmp_path: Path) -> None:
    trap = working.trap("ingest@later", "fail")
    job = working.submit("sooner", "later")
    assert working.wait(job).titles_failed == 1
    trap.unlink()
    working.forget_calls()
    retry(working, job)
    ended = working.wait(job)
    assert (ended.state, ended.titles_failed, ended.titles_ended) == ("done", 0, 2)
    assert max(working.lines().values()) == 1
    assert working.artifacts(job) == undisturbed(tmp_path, "sooner", "later")


def test_a_job_whose_tables_failed_is_retried(working: Rig) -> None:
    trap = working.trap("dataset", "fail")
    job = working.submit("untold")
    assert working.wait(job).state == "failed"
    trap.unlink()
    working.forget_calls()
    retry(working, job)
    assert working.wait(job).state == "done"
    assert set(working.lines()) == {"dataset"}


def edit(rig: Rig, job: str, text: str, title: str | None = None, language: str = "es", line: str = "u0001") -> None:
    rig.waker.wake(job_commands.edit_line(rig.database, rig.store, job, LineAddress(title, language, line), text))


def test_an_edited_line_redoes_what_hangs_on_it_and_nothing_else(working: Rig) -> None:
    job = working.submit("edited", "untouched")
    working.wait(job)
    before = working.artifacts(job)
    working.forget_calls()
    edit(working, job, "Hola.", title="edited")
    assert working.wait(job).state == "done"
    after = working.artifacts(job)
    changed = {path for path in after if after[path] != before[path]}
    assert "edited/tracks/es.flac" in changed
    assert not [path for path in changed if path.startswith("untouched/") or "/fr." in path]
    redone = {task.partition("/")[0] for task in working.lines()}
    assert not redone & {"ingest", "separation", "language", "transcription", "speakers", "stems", "cast", "control"}
    assert not [task for task in working.lines() if task.startswith(("translation/fr", "dubbing/fr", "quality/fr"))]
    assert "line_edited" in working.kinds(job)
    working.forget_calls()
    edit(working, job, "Hola.", title="edited")
    working.wait(job)
    assert set(working.lines()) <= {"dataset"}, "the same words change nothing"


def test_edits_that_make_no_sense_are_refused(working: Rig) -> None:
    job = working.submit("one", "two", languages=["es"])
    working.wait(job)
    arguments = (job_commands.edit_line, working.database, working.store)
    refused("no_such_job", *arguments, "job_x", LineAddress("one", "es", "u0001"), "Hola.")
    refused("unknown_title", *arguments, job, LineAddress(None, "es", "u0001"), "Hola.")
    refused("unknown_title", *arguments, job, LineAddress("three", "es", "u0001"), "Hola.")
    refused("unknown_language", *arguments, job, LineAddress("one", "fr", "u0001"), "Hola.")
    refused("unknown_utterance", *arguments, job, LineAddress("one", "es", "u0002"), "Hola.")


def test_editing_a_line_of_a_failed_title_does_the_rest_of_it_too(working: Rig) -> None:
    trap = working.trap("control/0000", "fail")
    job = working.submit("poor", languages=["es"])
    assert working.wait(job).state == "failed"
    trap.unlink()
    edit(working, job, "Hola.")
    ended = working.wait(job)
    assert (ended.state, ended.titles_failed) == ("done", 0)
    assert "poor/tracks/es.flac" in working.artifacts(job)


def test_a_line_is_edited_beside_a_failed_language(working: Rig) -> None:
    working.trap("dubbing/fr/0000", "fail")
    job = working.submit("lame")
    working.wait(job)
    edit(working, job, "Hola.")
    assert working.wait(job).state == "done"
    assert "lame/tracks/fr.flac" not in working.artifacts(job)


def test_a_deleted_job_leaves_nothing_in_the_database(working: Rig) -> None:
    def rows() -> dict[str, int]:
        with working.database.read() as session:
            tables = [table for name, table in Base.metadata.tables.items() if name != "worker"]
            return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}

    before = rows()
    job = working.submit("gone", webhook_url="https://example.org/hook")
    refused("job_running", job_commands.delete_job, working.database, job)
    working.wait(job)
    edit(working, job, "Hola.")
    working.wait(job)
    job_commands.delete_job(working.database, job)
    left = rows()
    assert left.pop("usage") == before.pop("usage") + 1, "minutes stay counted"
    assert left == before
    refused("no_such_job", job_commands.delete_job, working.database, job)


def test_an_edit_that_fails_leaves_everything_as_it_was(working: Rig) -> None:
    job = working.submit("kept", "beside")
    working.wait(job)
    edit(working, job, "Primera.", title="kept")
    working.wait(job)
    before = working.artifacts(job)
    for task in ("dubbing/es/0000", "track/es", "export"):
        trap = working.trap(task, "fail")
        edit(working, job, "Segunda.", title="kept")
        ended = working.wait(job)
        assert (ended.state, ended.titles_failed) == ("done", 0)
        now = working.artifacts(job)
        assert {path for path in now if now[path] != before[path]} <= {"kept/title.json"}, task
        assert "edit_failed" in working.kinds(job)
        trap.unlink()
    with working.database.read() as session:
        rows = session.scalars(select(Edit).join(Title, Title.id == Edit.title_id).where(Title.job_id == job)).all()
        assert [(row.text, row.pending) for row in rows] == [("Primera.", False)]
    edit(working, job, "Segunda.", title="kept")
    assert working.wait(job).state == "done"
    assert working.artifacts(job)["kept/tracks/es.flac"] != before["kept/tracks/es.flac"]


def test_tables_that_fail_behind_an_edit_leave_the_files_that_belong_to_the_old_ones(working: Rig) -> None:
    job = working.submit("whole", languages=["es"])
    working.wait(job)
    before = working.artifacts(job)
    trap = working.trap("dataset", "fail")
    edit(working, job, "Hola.")
    assert working.wait(job).state == "failed"
    assert {path: sha for path, sha in working.artifacts(job).items() if not path.startswith(".staged/")} == before
    trap.unlink()
    retry(working, job)
    assert working.wait(job).state == "done"
    after = working.artifacts(job)
    assert after["whole/tracks/es.flac"] != before["whole/tracks/es.flac"]
    assert not [path for path in after if path.startswith(".staged")]


def test_texts_and_lines_that_cannot_be_edited_are_refused(working: Rig) -> None:
    job = working.submit("one", languages=["es"])
    working.wait(job)
    arguments = (job_commands.edit_line, working.database, working.store, job, LineAddress(None, "es", "u0001"))
    refused("empty_text", *arguments, " … ")
    refused("empty_text", *arguments, "\x00\n")
    refused("long_text", *arguments, "ja " * 2000)
