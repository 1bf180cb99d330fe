"""Edits follow their line, and a folder is of one state whatever becomes of an edit."""

from __future__ import annotations

import itertools
import json
import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from shared.core.edits import LineEdit, edit_of, read_edits, resolve, stored_edits, wanted_text
from shared.core.errors import Cancelled, CounterdubError, UsageError
from shared.core.records import Utterance
from shared.pipeline import folder_commands, local_executor, publish, task_runner
from shared.pipeline.run import STATE, opened
from shared.pipeline.stage import Scope
from shared.settings.models import Settings
from tests.unit.shared.pipeline.fakes import FakeStages


def line(number: int, start: float, text: str, length: float = 2.0, **more: Any) -> Utterance:
    return Utterance(id=f"u{number:04}", start=start, end=start + length, language="en", text=text, **more)


LINES = [
    line(1, 0.2, "Good evening, Tom. Please come in.", 3.4),
    line(2, 4.1, "Thank you, Anna. I missed the last train.", 3.0),
    line(3, 7.8, "You can sleep here tonight.", 3.0),
]
EDIT = edit_of(LINES[1], "Gracias.")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (LINES, "u0002"),
        (
            [line(1, 0.2, "Good evening, Tom."), line(2, 1.4, "Please come in."), line(3, 4.1, EDIT.source or "")],
            "u0003",
        ),
        ([line(1, 64.1, EDIT.source or "", 3.0)], "u0001"),
        ([line(1, 4.0, "thank you anna I missed a last train", 3.0)], "u0001"),
        ([line(1, 4.0, EDIT.source or ""), line(2, 9.0, EDIT.source or "")], "u0001"),
        ([line(1, 1.0, EDIT.source or ""), line(2, 4.2, EDIT.source or "")], "u0002"),
        ([line(2, 4.1, "You can sleep here tonight.", 3.0)], None),
        ([line(2, 40.0, "thank you anna I missed a last train", 3.0)], None),
        ([], None),
    ],
    ids=["same", "split before it", "moved", "heard otherwise", "first", "nearest", "other text", "other time", "gone"],
)
def test_an_edit_belongs_to_its_line_and_not_to_a_number(lines: list[Utterance], found: str | None) -> None:
    resolved = resolve(read_edits(stored_edits([EDIT])), lines)
    assert (list(resolved.lines), resolved.lost) == (([found], []) if found else ([], [EDIT]))


def test_edits_of_earlier_versions_know_the_number_only() -> None:
    assert list(resolve(read_edits({"u0003": "Hola."}), LINES).lines) == ["u0003"]
    assert resolve([LineEdit("u0009", "Hola.")], LINES).lost


@pytest.mark.parametrize(("text", "code"), [("", "empty_text"), (" …?! ", "empty_text"), ("\x00\u200b", "empty_text")])
def test_a_text_without_a_word_is_refused(text: str, code: str) -> None:
    with pytest.raises(UsageError) as error:
        wanted_text(text)
    assert error.value.code == code


class Stages(FakeStages):
    """Fakes that speak :data:`LINES`, and fail or spoil what they are told."""

    def __init__(self) -> None:
        super().__init__(chunks=1, hook=self.spring)
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.seeds: list[int] = []

    def spring(self, name: str, scope: Scope, inputs: Mapping[str, Path]) -> None:
        if name in self.failing:
            raise CounterdubError("It was made to fail.", code="made_to_fail")

    def bodies(self, name: str, scope: Scope, inputs: Mapping[str, Path]) -> dict[str, Any]:
        if name == "dataset":
            seen = {key: path.read_text() for key, path in inputs.items() if not key.endswith("title.json")}
            facts = {"accepted": 1, "rejected": 0, "seen": seen}
            return dict.fromkeys(["pairs.parquet", "rejects.parquet", "report.html", "report.json"], facts)
        made = super().bodies(name, scope, inputs)
        if name == "speakers":
            made["utterances.jsonl"] = [json.loads(one.model_dump_json()) for one in LINES_NOW]
        if name == "dubbing":
            status = "failed" if self.silent else "ok"
            made["dubbed.jsonl"] = [{"id": "u0002", "status": status, "reason": "nothing_to_speak", **made}]
        if name == "export":
            edits = dict(scope.extra)
            made |= {f"{track}.srt": [edits, made["title.mkv"]] for track in ("en", "es")}
        return made

    def write(self, work: Any, name: str, body: Any) -> Path:
        if name.endswith(".jsonl") and isinstance(body, list):
            path = work.path(name)
            path.write_text("".join(json.dumps(row) + "\n" for row in body))
            return path
        return super().write(work, name, body)


LINES_NOW = LINES


class Folder:
    """An output folder of one film."""

    def __init__(self, path: Path) -> None:
        self.out, self.film = path / "out", path / "film.mp4"
        self.film.write_text("a film")

    def dub(self, film: Path | None = None, **sections: Any) -> None:
        folder_commands.dub([str(film or self.film)], ["es"], self.out, Settings.model_validate(sections))

    def redub(self, text: str, utterance: str = "u0002", title: str | None = None) -> None:
        folder_commands.redub(self.out, utterance, "es", text, title=title)

    def files(self) -> dict[str, bytes]:
        """All that people see."""
        found = (path for path in self.out.rglob("*") if path.is_file() and STATE not in path.parts)
        return {path.relative_to(self.out).as_posix(): path.read_bytes() for path in found if path.suffix != ".log"}

    def edits(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.out / STATE / "state.db")) as database:
            return database.execute("SELECT text, source FROM edit").fetchall()


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    made = Stages()
    monkeypatch.setattr(local_executor, "stage", made)
    monkeypatch.setattr(task_runner, "stage", made)
    monkeypatch.setattr(folder_commands, "check_engines", lambda settings, languages: None)
    monkeypatch.setattr(publish, "engines_used", lambda run: [])
    return made


@pytest.fixture
def folder(tmp_path: Path, stages: Stages) -> Folder:
    made = Folder(tmp_path)
    made.dub()
    return made


@pytest.mark.parametrize("stage", ["translation", "dubbing", "quality", "track", "export", "pairs", "dataset"])
def test_a_redub_that_fails_anywhere_leaves_everything_as_it_was(folder: Folder, stages: Stages, stage: str) -> None:
    folder.redub("Primera.")
    before = folder.files()
    stages.failing = {stage}
    with pytest.raises(CounterdubError) as error:
        folder.redub("Segunda.")
    assert error.value.code == "made_to_fail"
    assert folder.files() == before
    assert folder.edits() == [("Primera.", LINES[1].text)]
    stages.failing = set()
    folder.dub()
    assert folder.files()["film/tracks/es.flac"] == before["film/tracks/es.flac"], "nothing is left of it"
    folder.redub("Segunda.")
    after = folder.files()
    assert {"film/tracks/es.flac", "film/subtitles/es.srt", "pairs.parquet"} <= {
        n for n in after if after[n] != before[n]
    }
    assert folder.edits() == [("Segunda.", LINES[1].text)]


def test_a_text_that_cannot_be_spoken_changes_nothing(folder: Folder, stages: Stages) -> None:
    before = folder.files()
    stages.silent = {"u0002"}
    with pytest.raises(CounterdubError) as error:
        folder.redub("あ")
    assert error.value.code == "text_not_spoken" and "nothing_to_speak" in error.value.message
    assert folder.files() == before and folder.edits() == []


@pytest.mark.parametrize("after", [0, 1, 3, 7])
def test_a_redub_that_is_killed_while_it_is_laid_out_is_gone_on_with(
    folder: Folder, stages: Stages, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = publish.place

    def killed(files: Mapping[str, Any], store: Any, out: Path) -> None:
        place(dict(list(files.items())[:after]), store, out)
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "place", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.redub("Segunda.")
    monkeypatch.setattr(publish, "place", place)
    with opened(folder.out):
        pass
    now = folder.files()
    assert folder.edits() == [("Segunda.", LINES[1].text)]
    folder.redub("Segunda.")
    again = folder.files()
    told = {name for name in again if again[name] != now[name]}
    assert told <= {"film/title.json"}, "all of it was there"


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [("dropped", "Hola.", "dropped_line"), ("ok", "", "empty_text"), ("ok", "ja " * 2000, "long_text")],
)
def test_what_cannot_be_said_is_refused(
    folder: Folder, status: str, text: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [one.model_copy(update={"status": status, "reason": "bad_times"}) for one in LINES]
    monkeypatch.setattr(folder_commands, "spoken", lambda out, title: lines)
    before = folder.files()
    with pytest.raises(UsageError) as error:
        folder.redub(text)
    assert error.value.code == code and folder.files() == before


def test_an_edit_follows_its_line_and_is_replaced_by_the_next(
    folder: Folder, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.redub("Primera.")
    split = [line(1, 0.2, "Good evening, Tom."), line(2, 1.4, "Please come in."), line(3, 4.1, LINES[1].text, 3.0)]
    monkeypatch.setattr("tests.unit.shared.pipeline.test_edits.LINES_NOW", split)
    folder.dub(transcription={"beam_size": 3})
    folder.redub("Tercera.", "u0003")
    assert folder.edits() == [("Tercera.", LINES[1].text)]
    folder.redub("Dos.", "u0002")
    assert folder.edits() == [("Tercera.", LINES[1].text), ("Dos.", "Please come in.")]


def test_settings_belong_to_the_title_they_were_given_for(
    folder: Folder, stages: Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (other := tmp_path / "other.mp4").write_text("another film")
    folder.dub(other, separation={"context_seconds": 2.0})
    stages.calls.clear()
    folder.redub("Hola.", title="film")
    done = {name for name, _, _ in stages.calls}
    assert not done & {"ingest", "separation", "transcription", "speakers", "control", "stems"}
    stages.calls.clear()
    folder.redub("Hola.", title="other")
    assert not {name for name, _, _ in stages.calls} & {"ingest", "separation", "transcription", "stems"}


def test_a_title_that_fails_when_it_is_run_again_keeps_all_it_had(folder: Folder, stages: Stages) -> None:
    before = folder.files()
    stages.failing = {"export"}
    folder_commands.dub([str(folder.film)], ["es"], folder.out, Settings(pairing={"aac_bitrate": 96_000}))
    after = folder.files()
    kept = {name for name in before if name.startswith("film/") and name != "film/title.json"}
    assert all(after[name] == before[name] for name in kept)


@pytest.mark.parametrize("at", range(1, 12))
def test_ctrl_c_in_any_commit_ends_the_run_as_cancelled(folder: Folder, at: int) -> None:
    """Raised inside SQLAlchemy's commit, an interruption was lost, or came out as another error."""
    ended = itertools.count(1)

    def interrupt(*_: Any) -> None:
        if next(ended) == at:
            signal.raise_signal(signal.SIGINT)

    event.listen(Session, "after_transaction_end", interrupt)
    try:
        with pytest.raises(Cancelled):
            folder.dub()
    finally:
        event.remove(Session, "after_transaction_end", interrupt)
    folder.dub()
