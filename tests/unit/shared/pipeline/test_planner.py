"""What texts that came with a title change of its plan, and nothing without them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.core.store import Blob
from shared.pipeline.planner import Plan, Ref, Task, TitleRequest, plan, task_language
from shared.settings.models import Settings

REQUEST = TitleRequest("film", Path("film.mkv"), ("es", "fr"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "chunks.json").write_text(json.dumps([{"index": 0, "start": 0, "end": 48_000}]))
    (tmp_path / "shots.json").write_text(json.dumps([{"index": 0, "start": 0.0, "end": 1.0}]))
    return tmp_path


def planned(folder: Path, **facts: Any) -> dict[str, Task]:
    def known(title: str, task: str, output: str) -> Path | Blob | None:
        return folder / output if task == "ingest" else None

    made: Plan = plan(replace(REQUEST, **facts), Settings(), known, set(), True)
    return {task.id: task for task in made.tasks}


def test_without_texts_there_is_no_task_and_no_input_of_them(folder: Path) -> None:
    tasks = planned(folder)
    assert not [task for task in tasks if task.startswith(("alignment", "subtitles"))]
    assert not [name for task in tasks.values() for name in task.inputs if "given" in name or "subtitles" in name]


def test_a_translation_concerns_its_language_alone(folder: Path) -> None:
    plain, tasks = planned(folder), planned(folder, translations={"es": Path("es.srt")})
    assert tasks.keys() - plain.keys() == {"alignment/es"}
    assert tasks["alignment/es"].inputs["translation"] == Path("es.srt")
    assert tasks["translation/es/0000"].inputs["given.jsonl"] == Ref("alignment/es", "given.jsonl")
    changed = {name for name in plain if plain[name] != tasks[name]}
    assert changed == {"translation/es/0000"} and task_language("alignment/es") == "es"


def test_a_videos_own_subtitles_stand_for_what_is_not_given(folder: Path) -> None:
    streams = Ref("subtitles", "subtitles.json")
    tasks = planned(folder, embedded=True, translations={"es": Path("es.srt")})
    assert tasks["transcription/0000"].inputs["subtitles.json"] == streams
    assert tasks["alignment/fr"].inputs["subtitles.json"] == streams
    assert "subtitles.json" not in tasks["alignment/es"].inputs
    assert "subtitles.json" not in planned(folder, embedded=True, transcript=Path("a.srt"))["transcription/0000"].inputs
