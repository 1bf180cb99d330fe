"""File names that are an attack or merely unusual, and the same name twice."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.integration.films import cli
from tests.unit.shared.media import odd

TITLES = {
    "$(touch owned).mp4": "touch-owned",
    "; touch owned ;.mp4": "touch-owned",
    "-y.mp4": "y",
    "a'b\"c.mp4": "a-b-c",
    "a&b<script>c.mp4": "a-b-script-c",
    "concat:a|b.mp4": "concat-a-b",
    "http:example.mp4": "http-example",
    "%03d.mp4": "03d",
    "new\nline.mp4": "new-line",
    "...mp4": "title",
    ".hidden.mp4": "hidden",
    "映画 – ñandú 🎬.mp4": "映画-ñandú",
    "é" * 120 + ".mp4": "é" * 60,
    "same.mp4": "same",
    "again/same.mp4": "same",
    "again/Same.mp4": "same",
}
"""File below the folder → its title, but for case and for the number that tells equal ones apart."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, all_weights: None) -> tuple[cli.Ended, Path]:
    """One run over a folder of such names: tiny silent films, all the same, so that they are soon done."""
    root = tmp_path_factory.mktemp("names")
    (root / "films" / "again").mkdir(parents=True)
    (root / "work").mkdir()
    content = odd.clip(root / "clip.mp4", 0.2, sound=None).read_bytes()
    for name in TITLES:
        (root / "films" / name).write_bytes(content)
    return cli.command("dub", "../films", "-l", "en", "-o", "../out", "--json", cwd=root / "work"), root


def sources(root: Path) -> dict[str, str]:
    """Name of the source file → its title's folder, of those that are told apart by it."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (root / "out").glob("*/title.json")]
    return {record["source_name"]: record["title"] for record in records}


@pytest.mark.parametrize("name", TITLES, ids=lambda name: ascii(name)[:30])
def test_path_and_shell_tricks_and_unicode_in_file_names(run: tuple[cli.Ended, Path], name: str) -> None:
    ended, root = run
    assert ended.code == 0, ended.stderr
    title = sources(root)[Path(name).name]
    assert re.sub(r"-\d+$", "", title).casefold() == TITLES[name].casefold()
    folder = root / "out" / title
    assert folder.resolve().parent == (root / "out").resolve()
    assert {path.name for path in (folder / "tracks").iterdir()} == {"orig.flac", "control.flac", "en.flac"}
    assert (folder / f"{title}.mp4").exists() and (folder / f"{title}.mkv").exists()
    assert cli.rejects(root / "out", title)


def test_no_file_name_reaches_a_shell_or_leaves_the_output_folder(run: tuple[cli.Ended, Path]) -> None:
    _, root = run
    assert not list((root / "work").iterdir())
    assert {path.name for path in root.iterdir()} == {"films", "work", "clip.mp4", "out"}
    assert not list(root.rglob("owned"))


def test_the_same_name_twice_makes_two_titles(run: tuple[cli.Ended, Path]) -> None:
    ended, _ = run
    titles = [title["title"] for title in ended.data["titles"]]
    assert len({title.casefold() for title in titles}) == len(TITLES), "also where the file system ignores case"
    assert sum(re.sub(r"-\d+$", "", title).casefold() == "same" for title in titles) == 3


def test_titles_keep_their_names_when_run_again(run: tuple[cli.Ended, Path]) -> None:
    ended, root = run
    again = cli.here("dub", root / "films" / "again", "-l", "en", "-o", root / "out", "--json")
    assert again.code == 0 and again.data["computed_tasks"] == 0
    assert {title["title"] for title in again.data["titles"]} < {title["title"] for title in ended.data["titles"]}


def test_the_report_shows_names_as_text(run: tuple[cli.Ended, Path]) -> None:
    assert "<script>c" not in (run[1] / "out" / "report.html").read_text(encoding="utf-8")


def test_a_pattern_that_is_a_name_is_that_file(tmp_path: Path, all_weights: None) -> None:
    (tmp_path / "[a]*.mp4").write_bytes(b"")
    (tmp_path / "a1.mp4").write_bytes(b"")
    result = cli.here("dub", tmp_path / "[a]*.mp4", "-l", "en", "-o", tmp_path / "out", "--json")
    assert [title["title"] for title in result.data["titles"]] == ["a"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep such names from being made")
def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "films") + b"/latin\xe9.mp4")).write_bytes(b"")
    result = cli.here("dub", tmp_path / "films", "-l", "en", "-o", tmp_path / "out", "--json")
    assert result.code == 2 and result.error["code"] == "bad_name" and "Rename" in result.error["message"]
    assert not (tmp_path / "out").exists()
