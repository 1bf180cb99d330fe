"""A fault of ours becomes one sentence for people, without a path or a traceback; the log has both."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from shared.core.errors import CounterdubError
from shared.media import child
from shared.observability.internal_errors import LOG_NAME, internal_error, log_file, summary, without_folders
from shared.pipeline.task_runner import failures
from tests.conftest import ROOT


def break_down(progress: object) -> None:
    """What the child process runs: a function of ours with a bug."""
    raise KeyError(f"{ROOT}/shared/secret")


def is_for_people(error: CounterdubError) -> None:
    assert error.code == "internal_error" and "KeyError" in error.message
    told = json.dumps(error.to_dict())
    assert "\n" not in error.message and "Traceback" not in told and str(ROOT) not in told and ".py" not in told


def test_a_bug_in_a_child_process_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CounterdubError) as caught:
        child.call(f"{__name__}:break_down", {}, timeout=60)
    is_for_people(caught.value)
    assert "Traceback" in caplog.text and "break_down" in caplog.text


def test_a_bug_in_a_stage_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CounterdubError) as caught, failures("dubbing", "task dubbing/es of film"):
        break_down(None)
    is_for_people(caught.value)
    assert caught.value.stage == "dubbing" and "in dubbing" in caught.value.message
    assert "Traceback" in caplog.text and "break_down" in caplog.text


def test_the_log_of_a_folder_holds_the_traceback_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / LOG_NAME
    with log_file(path, f"{LOG_NAME} in the output folder"):
        assert not path.exists()
        try:
            raise ValueError("s3://name:password@bucket\x1b[2J")
        except ValueError as error:
            told = internal_error(error, None, "task x of film")
    assert LOG_NAME in told.message and "password" not in told.message
    text = path.read_text()
    assert "Traceback" in text and "test_internal_errors.py" in text
    assert "password" not in text and "\x1b" not in text
    logging.getLogger("counterdub.later").warning("not in that log any more")
    assert "any more" not in path.read_text()


def test_a_command_shows_one_sentence_and_keeps_the_traceback(tmp_path: Path) -> None:
    script = (
        "import services.ingest.inspect as module\n"
        "def look(*args, **kwargs): raise KeyError('/opt/somewhere')\n"
        "module.inspect = look\n"
        "from services.cli.main import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", script, "inspect", str(ROOT / "tests/sample/sample.mp4")]
    environment = {"PATH": "", "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert "internal_error" in done.stderr and "Traceback" not in done.stderr and "/opt" not in done.stderr
    (kept,) = tmp_path.rglob(LOG_NAME)
    assert f"~/{kept.relative_to(tmp_path)}" in done.stderr
    assert "Traceback" in kept.read_text() and "/opt/somewhere" in kept.read_text()


def test_what_libraries_say_is_shown_without_folders_and_further_lines() -> None:
    assert summary(OSError("cannot read /srv/models/a.bin\nTraceback …")) == "cannot read a.bin"
    assert summary(KeyError()) == "KeyError"
    assert without_folders("3/4 of https://a.org/b") == "3/4 of https://a.org/b"
