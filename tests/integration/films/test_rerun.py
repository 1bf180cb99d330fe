"""Running again, changing one line, and what may have happened in between."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from shared.core.records import DubbedUtterance, read_jsonl
from tests.integration.films import cli
from tests.integration.films.conftest import Battered

pytestmark = pytest.mark.slow


def contents(out: Path, *below: str) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for part in below for path in (out / part).rglob("*.*")}


def spoken(out: Path, track: str) -> dict[str, DubbedUtterance]:
    return {line.id: line for line in read_jsonl(out / "dialogue" / "utterances" / f"{track}.jsonl", DubbedUtterance)}


def latest_tasks(out: Path) -> dict[str, dict[str, Any]]:
    with sqlite3.connect(out / ".counterdub" / "state.db") as database:
        database.row_factory = sqlite3.Row
        rows = database.execute(
            "SELECT * FROM stage_run WHERE job_id = (SELECT id FROM job ORDER BY created DESC LIMIT 1)"
        ).fetchall()
    return {row["task"]: dict(row) for row in rows}


def test_a_second_run_computes_nothing_and_is_fast(finished: Path, battered: Battered) -> None:
    before = contents(finished, "dialogue/tracks", "dialogue/shots")
    began = time.monotonic()
    again = cli.here("dub", battered.video, "-l", "en", "-l", "es", "-o", finished, "--json")
    assert again.code == 0
    assert again.data["computed_tasks"] == 0 and again.data["cached_tasks"] > 30
    assert time.monotonic() - began < 10
    assert contents(finished, "dialogue/tracks", "dialogue/shots") == before


def test_redub_redoes_that_line_and_what_depends_on_it_only(finished: Path) -> None:
    tracks, lines = contents(finished, "dialogue/tracks", "dialogue/stems"), spoken(finished, "es")
    assert len(lines) >= 2, "one line is edited, another has to stay"
    chosen = max(lines)
    result = cli.here("redub", finished, "--utterance", chosen, "-l", "es", "--text", "Muchas gracias, Ana.", "--json")
    assert result.code == 0, result.stdout
    assert 0 < result.data["computed_tasks"] < 16
    tasks = latest_tasks(finished)
    made = {name for name, row in tasks.items() if not row["cached"]}
    assert {"translation/es/0000", "dubbing/es/0000", "track/es"} <= made
    assert not {name for name in made if "en" in name.split("/") or name.split("/")[-1] in {"control", "orig"}}
    assert not made & {"ingest", "language", "separation/0000", "transcription/0000", "speakers", "stems/0000"}
    parts = {stage: json.loads(tasks[f"{stage}/es/0000"]["counters"]) for stage in ("translation", "dubbing")}
    assert all(part["parts_reused"] >= 1 for part in parts.values()), "the other lines are found, not made"
    now = contents(finished, "dialogue/tracks", "dialogue/stems")
    changed = {name for name in tracks if now[name] != tracks[name]}
    assert changed == {"dialogue/tracks/es.flac", "dialogue/stems/speech.es.flac"}
    after = spoken(finished, "es")
    assert after[chosen].text == "Muchas gracias, Ana." and after[chosen].edited
    first = min(lines)
    assert after[first] == lines[first]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--utterance", "u0099", "-l", "es"], "unknown_utterance", "u0099"),
        (["--utterance", "u0001", "-l", "es", "--title", "other"], "unknown_title", "dialogue"),
        (["--utterance", "u0001", "-l", "fr"], "unknown_language", "fr"),
        (["--utterance", "u0001", "-l", "klingonish"], "unknown_language", "klingonish"),
    ],
    ids=["unknown_utterance", "unknown_title", "language_not_dubbed", "unknown_language"],
)
def test_redub_refuses(finished: Path, arguments: list[str], code: str, word: str) -> None:
    before = contents(finished, "dialogue/tracks")
    result = cli.here("redub", finished, *arguments, "--text", "Hola.", "--json")
    assert result.code == 2
    assert result.error["code"] == code and word in result.error["message"]
    assert contents(finished, "dialogue/tracks") == before


@pytest.mark.parametrize("command", ["redub", "report"])
def test_a_folder_without_a_run(tmp_path: Path, command: str) -> None:
    more = ["--utterance", "u0001", "-l", "es", "--text", "Hola."] if command == "redub" else []
    result = cli.here(command, tmp_path, *more, "--json")
    assert result.code == 2 and result.error["code"] == "no_run"
    assert not list(tmp_path.iterdir())


def test_the_source_file_vanished_between_runs(finished: Path, battered: Battered, tmp_path: Path) -> None:
    """Named again it is refused; the title's results stay where they are."""
    before = contents(finished, "dialogue/tracks")
    hidden = battered.video.rename(tmp_path / "elsewhere.mp4")
    try:
        named = cli.here("dub", battered.video, "-l", "en", "-o", finished, "--json")
        assert named.code == 2 and named.error["code"] == "no_input"
        edit = cli.here("redub", finished, "--utterance", "u0001", "-l", "es", "--text", "Hola, Tom.", "--json")
        assert edit.code == 3
        assert edit.error["code"] == "source_missing" and battered.video.name in edit.error["message"]
        assert contents(finished, "dialogue/tracks") == before
    finally:
        hidden.rename(battered.video)


def test_a_title_that_fails_when_it_is_run_again_keeps_what_it_had(finished: Path, battered: Battered) -> None:
    before = contents(finished, "dialogue/tracks", "dialogue/shots")
    good = battered.video.read_bytes()
    try:
        battered.video.write_bytes(b"overwritten by mistake")
        result = cli.here("dub", battered.video, "-l", "en", "-l", "es", "-o", finished, "--json")
        assert result.code == 3 and result.data["titles"][0]["error"]["code"] == "not_a_video"
        assert contents(finished, "dialogue/tracks", "dialogue/shots") == before
    finally:
        battered.video.write_bytes(good)
    again = cli.here("dub", battered.video, "-l", "en", "-l", "es", "-o", finished, "--json")
    assert again.code == 0 and again.data["computed_tasks"] == 0 and again.data["accepted"] > 0


def test_a_damaged_state_database(finished: Path, battered: Battered) -> None:
    for path in (finished / ".counterdub").glob("state.db*"):
        path.write_bytes(b"not a database " * 1000)
    ask = ("dub", battered.video, "-l", "en", "-l", "es", "-o", finished, "--json")
    result = cli.here(*ask)
    assert result.code == 3
    assert result.error["code"] == "bad_state" and "state.db" in result.error["message"]
    for path in (finished / ".counterdub").glob("state.db*"):
        path.unlink()
    again = cli.here(*ask)
    assert again.code == 0 and again.data["computed_tasks"] == 0
