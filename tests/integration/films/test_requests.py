"""Requests that cannot be met: said before any work is done, with exit code 2, or 3 where something is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.films import cli
from tests.unit.shared.media import odd

SRT = "1\n00:00:00,200 --> 00:00:03,600\nGood evening.\n"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return odd.clip(tmp_path / "film.mp4", 0.2, sound=None)


USAGE: dict[str, tuple[list[str], str, str]] = {
    "unknown_language": (["-l", "klingonish"], "unknown_language", "klingonish"),
    "language_without_a_voice": (["-l", "sw"], "unsupported_language", "sw"),
    "unknown_setting": (["-l", "en", "--set", "dubbing.sead=3"], "bad_setting", "dubbing.sead"),
    "setting_of_the_wrong_type": (["-l", "en", "--set", "dubbing.seed=many"], "bad_setting", "dubbing.seed"),
    "setting_without_a_value": (["-l", "en", "--set", "dubbing.seed"], "bad_setting", "key=value"),
    "unknown_engine": (["-l", "en", "--set", "separation.engine=scissors"], "unknown_engine", "scissors"),
    "unknown_profile": (["-l", "en", "--profile", "tpu"], "unknown_profile", "tpu"),
    "settings_file_missing": (["-l", "en", "--config", "nowhere.toml"], "bad_config", "settings file"),
}


@pytest.mark.parametrize("case", USAGE)
def test_bad_request_is_refused_before_any_work(film: Path, case: str) -> None:
    arguments, code, word = USAGE[case]
    result = cli.here("dub", film, *arguments, "-o", film.parent / "out", "--json")
    assert result.code == 2, result.stdout
    assert result.error["code"] == code and word in result.error["message"]
    assert not (film.parent / "out").exists()


def test_error_for_people_goes_to_standard_error(film: Path) -> None:
    result = cli.here("dub", film, "-l", "klingonish", "-o", film.parent / "out")
    assert result.code == 2 and result.stdout == ""
    assert "klingonish" in result.stderr and "(unknown_language)" in result.stderr


@pytest.mark.parametrize("arguments", [["dub"], ["dub", "film.mp4"], ["dub", "f.mp4", "-l", "es"], ["frobnicate"]])
def test_arguments_missing_or_unknown(arguments: list[str]) -> None:
    assert cli.here(*arguments).code == 2


@pytest.mark.parametrize("name", ["nothing.mp4", "nowhere", "*.mp4", "empty"])
def test_no_such_file_folder_or_match(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    result = cli.here("dub", tmp_path / name, "-l", "en", "-o", tmp_path / "out", "--json")
    assert result.code == 2 and result.error["code"] == "no_input" and name in result.error["message"]


def refused(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("really", [True, False], ids=["really", "simulated"])
def test_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, really: bool) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    if really and (os.name != "posix" or os.geteuid() == 0):
        pytest.skip("nothing is unreadable to root")
    folder.chmod(0o000 if really else 0o700)
    if not really:
        monkeypatch.setattr(Path, "iterdir", refused)
    result = cli.here("dub", folder, "-l", "en", "-o", tmp_path / "out", "--json")
    folder.chmod(0o700)
    assert result.code == 3
    assert result.error["code"] == "unreadable" and "locked" in result.error["message"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_or_device_is_no_file(tmp_path: Path, all_weights: None) -> None:
    """It would never end."""
    os.mkfifo(tmp_path / "pipe.mp4")
    result = cli.here("dub", tmp_path / "pipe.mp4", "-l", "en", "-o", tmp_path / "out", "--json")
    assert result.code == 3 and result.data["titles"][0]["error"]["code"] == "unreadable"
    assert cli.rejects(tmp_path / "out", "pipe")


def test_weights_missing(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = film.parent / "models"
    empty.mkdir()
    monkeypatch.setenv("COUNTERDUB_MODELS", str(empty))
    result = cli.here("dub", film, "-l", "en", "-o", film.parent / "out", "--json")
    assert result.code == 3
    assert result.error["code"] == "weights_missing" and "counterdub models pull" in result.error["message"]
    assert not (film.parent / "out").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [("bad.srt", "this is no subtitle"), ("bad.json", "{]"), ("empty.srt", "")],
    ids=["no_subtitles", "bad_json", "empty"],
)
def test_bad_transcript(film: Path, all_weights: None, name: str, text: str) -> None:
    transcript = film.parent / name
    transcript.write_text(text)
    result = cli.here("dub", film, "-l", "en", "-o", film.parent / "out", "--transcript", transcript, "--json")
    error = result.data["titles"][0]["error"]
    assert result.code == 3 and error["code"] == "bad_transcript" and error["stage"] == "transcription"
    assert cli.rejects(film.parent / "out", "film")


def test_transcript_that_is_not_there(film: Path, all_weights: None) -> None:
    result = cli.here("dub", film, "-l", "en", "-o", film.parent / "out", "--transcript", "none.srt", "--json")
    assert result.code == 2 and result.error["code"] == "bad_transcript" and "none.srt" in result.error["message"]
    assert not (film.parent / "out").exists()


def test_one_transcript_for_two_videos(film: Path) -> None:
    transcript = film.parent / "film.srt"
    transcript.write_text(SRT)
    other = odd.clip(film.parent / "other.mp4", 0.2, sound=None)
    result = cli.here("dub", film, other, "-l", "en", "-o", film.parent / "out", "--transcript", transcript, "--json")
    assert result.code == 2 and result.error["code"] == "transcript_needs_one_video"
