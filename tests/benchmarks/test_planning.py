"""What planning and booking cost by task, with a hundred titles and with a thousand: no more.

Stages are hollow: a task's result is at hand, so that what is timed is the planner, the ledger and the executor, or the
queue's claims.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.core.store import Blob, Store
from shared.ledger.database import Database
from shared.ledger.migrate import upgrade
from shared.pipeline import ledger, local_executor, task_runner
from shared.pipeline.local_executor import Executor
from shared.pipeline.planner import Task, TitleRequest
from shared.pipeline.task_runner import Done, Performer
from shared.pipeline.task_work import EnginePool
from shared.queue import job_commands
from shared.queue.scheduling.claims import claim, finish
from shared.queue.service_settings import QUEUES
from shared.settings.models import Settings
from shared.weights import WeightFolder
from tests.benchmarks.running import write_result
from tests.integration.queue.nulls import NullStages
from tests.unit.shared.pipeline.fakes import OUTPUTS
from tests.unit.shared.pipeline.ledgers import run_ledger

pytestmark = pytest.mark.bench
LANGUAGES = ("de", "es", "fr", "it", "ja")
FEW, MANY = 100, 1000
MAX_GROWTH = 1.5
FACTS: Mapping[str, Mapping[str, Any]] = {
    "ingest": {
        "chunks.json": [{"index": 0, "start": 0, "end": 48_000}],
        "shots.json": [{"index": 0, "start": 0.0, "end": 4.0}],
        "probe.json": {"duration": 4.0},
        "speech.json": {},
        "master.flac": {},
    },
    "pictures": {"0000.mp4": {}},
    "shots": {"0000.mp4": {}},
    "language": {"language.json": {"language": "en", "confidence": 1.0, "votes": {}}},
}


class Results:
    """What every task of every title makes."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._blobs: dict[str, dict[str, Blob]] = {}
        for stage in (*FACTS, *OUTPUTS):
            facts = FACTS.get(stage) or {name: {} for name in OUTPUTS[stage]}
            for name, value in facts.items():
                (path := folder / "file").write_text(json.dumps(value))
                self._blobs.setdefault(stage, {})[name] = store.add(name, path)

    def done(self, task: Task) -> Done:
        return Done(task.id, self._blobs[task.stage], cached=False, seconds=0.1)


@pytest.fixture(autouse=True)
def hollow(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = NullStages()
    monkeypatch.setattr(task_runner, "stage", stages)
    monkeypatch.setattr(local_executor, "stage", stages)
    monkeypatch.setattr(ledger, "queue_of", lambda name: stages(name).queue)


def inside(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[float, int]:
    """Seconds and tasks of a run of ``count`` titles in this process."""
    folder.mkdir()
    store = Store(str(folder / "store"))
    results = Results(store, folder)
    monkeypatch.setattr(Performer, "perform", lambda self, task, *rest: results.done(task))
    (film := folder / "film.mp4").write_text("a film")
    names = [f"t{number:04}" for number in range(count)]
    titles = [
        TitleRequest(name, film, LANGUAGES, previous=names[number - 1] if number else None)
        for number, name in enumerate(names)
    ]
    executor = Executor(store, EnginePool(WeightFolder()), Settings(), lambda event: None, jobs=2)
    with run_ledger(folder / "state.db", titles, Settings()) as book:
        began = time.perf_counter()
        runs = executor.run(titles, book)
        seconds = time.perf_counter() - began
    assert all(run.complete and not run.failed for run in runs), [run.failed for run in runs if run.failed][:1]
    return seconds, sum(len(run.done) for run in runs)


def queued(folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[float, int]:
    """Seconds and tasks of a job of ``count`` titles, claimed and booked by one worker."""
    folder.mkdir()
    upgrade(f"sqlite:///{folder}/state.db")
    database, store = Database(f"sqlite:///{folder}/state.db"), Store(str(folder / "store"))
    results = Results(store, folder)
    (film := folder / "film.mp4").write_text("a film")
    sources = [job_commands.VideoSource("upload", f"t{n}.mp4", blob=store.add("video.mp4", film)) for n in range(count)]
    began, tasks = time.perf_counter(), 0
    _, ready = job_commands.create_job(database, store, job_commands.JobOrder(sources, LANGUAGES, Settings()))
    waiting = dict.fromkeys(QUEUES, 0) | dict(ready)
    while any(waiting.values()):
        for queue in QUEUES:
            while waiting[queue] and (mine := claim(database, "worker", queue)) is not None:
                waiting[queue] -= 1
                if mine.task.stage in ledger.UNPLANNED:
                    continue  # What lays files out costs by the file, not by the task.
                tasks += 1
                for other, freed in finish(database, store, mine.run, "worker", results.done(mine.task)).items():
                    waiting[other] += freed
            if waiting[queue] and claim(database, "worker", queue) is None:
                waiting[queue] = 0
    seconds = time.perf_counter() - began
    database.close()
    return seconds, tasks


def test_a_thousand_titles_cost_by_task_what_a_hundred_do(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: dict[str, Any] = {}
    for name, run in {"in process": inside, "queue": queued}.items():
        few, many = (run(tmp_path / f"{name} {count}", count, monkeypatch) for count in (FEW, MANY))
        assert many[1] == few[1] * MANY // FEW
        growth = (many[0] / many[1]) / (few[0] / few[1])
        figures[name] = {
            "tasks": many[1],
            "growth": round(growth, 2),
            "milliseconds": round(1000 * many[0] / many[1], 2),
        }
        print(f"{name}: {figures[name]}")
    write_result(tmp_path_factory, "planning", figures)
    assert all(figure["growth"] <= MAX_GROWTH for figure in figures.values())
