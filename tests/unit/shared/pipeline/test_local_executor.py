"""The planner and the in-process executor, driven with stages that cost nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from shared.core.errors import Cancelled, CounterdubError, StorageError
from shared.core.store import Blob, Store
from shared.pipeline import local_executor as module
from shared.pipeline import task_runner
from shared.pipeline.events import RunEvent
from shared.pipeline.local_executor import Executor, TitleRun
from shared.pipeline.planner import TitleRequest, plan
from shared.pipeline.stage import EngineUse, Scope
from shared.pipeline.task_work import EnginePool
from shared.weights import WeightFolder
from tests.unit.shared.pipeline.fakes import FakeStages, Hook, settings
from tests.unit.shared.pipeline.ledgers import run_ledger


class Bench:
    """One store and any number of runs over it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = monkeypatch
        self.stages = FakeStages()

    def title(self, name: str, languages: tuple[str, ...] = ("es", "fr"), **more: object) -> TitleRequest:
        source = self.folder / f"{name}.mp4"
        source.write_text(f"picture of {name}")
        return TitleRequest(name, source, languages, **more)  # type: ignore[arg-type]

    def run(
        self, *titles: TitleRequest, hook: Hook | None = None, jobs: int = 1, chunks: int = 2, **sections: object
    ) -> list[TitleRun]:
        self.stages = FakeStages(chunks, hook or (lambda name, scope, inputs: None))
        self.patch.setattr(module, "stage", self.stages)
        self.patch.setattr(task_runner, "stage", self.stages)
        self.events: list[RunEvent] = []
        asked = settings(**sections)
        executor = Executor(
            Store(str(self.folder / "store")), EnginePool(WeightFolder()), asked, self.events.append, jobs=jobs
        )
        with run_ledger(self.folder / "state.db", titles, asked) as ledger:
            return executor.run(titles, ledger)

    @property
    def calls(self) -> Counter[str]:
        return Counter(name for name, _, _ in self.stages.calls)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.mark.parametrize("jobs", [1, 4])
def test_every_stage_runs_for_every_chunk_and_language(bench: Bench, jobs: int) -> None:
    (run,) = bench.run(bench.title("film"), jobs=jobs)
    assert run.complete and not run.failed
    assert bench.calls == {
        "ingest": 1,
        "language": 1,
        "speakers": 1,
        "separation": 2,
        "transcription": 2,
        "stems": 2,
        "translation": 4,
        "cast": 2,
        "dubbing": 4,
        "control": 2,
        "quality": 6,
        "residual": 2,
        "level": 1,
        "track": 5,
        "pictures": 1,
        "shots": 4,
        "export": 1,
        "preview": 4,
        "pairs": 1,
    }


def test_a_second_run_computes_nothing(bench: Bench) -> None:
    film = bench.title("film")
    bench.run(film)
    bench.run(film)
    assert not bench.stages.calls
    assert all(event.cached for event in bench.events if event.kind == "task_done")


def test_another_language_reuses_what_does_not_depend_on_it(bench: Bench) -> None:
    bench.run(bench.title("film", ("es",)))
    bench.run(bench.title("film", ("es", "ja")))
    assert "ingest" not in bench.calls and "separation" not in bench.calls and "transcription" not in bench.calls
    assert {lang for name, lang, _ in bench.stages.calls if name in {"translation", "dubbing", "quality"}} == {"ja"}


def test_a_changed_setting_redoes_its_stage_and_what_follows(bench: Bench) -> None:
    film = bench.title("film", ("es",))
    bench.run(film)
    bench.run(film, dubbing={"seed": 7})
    assert "translation" not in bench.calls and "separation" not in bench.calls
    assert bench.calls["dubbing"] == 2


def test_threads_and_device_are_not_part_of_the_result(bench: Bench) -> None:
    film = bench.title("film", ("es",))
    bench.run(film)
    bench.run(film, dubbing={"threads": 1}, separation={"threads": 1})
    assert not bench.stages.calls


def test_an_edited_line_redoes_its_language_only(bench: Bench) -> None:
    bench.run(bench.title("film"))
    bench.run(bench.title("film", edits={"es": {"u0001": "hola"}}))
    touched = {lang for name, lang, _ in bench.stages.calls if name in {"translation", "dubbing", "quality", "track"}}
    assert touched == {"es"}


def test_a_failing_language_leaves_the_others(bench: Bench) -> None:
    def hook(name: str, scope: Scope, inputs: Mapping[str, Path]) -> None:
        if name == "translation" and scope.language == "fr" and scope.chunk == 1:
            raise CounterdubError("no French today", code="engine_failed")

    (run,) = bench.run(bench.title("film"), hook=hook)
    assert run.ended and run.lost is None
    assert run.plan.tracks == ("orig", "control", "es")
    assert run.plan.failed_languages == ("fr",)
    assert run.failed["translation/fr/0001"].stage == "translation"


def test_a_failing_title_does_not_stop_the_others(bench: Bench) -> None:
    def hook(name: str, scope: Scope, inputs: Mapping[str, Path]) -> None:
        if name == "separation" and "bad" in inputs["master.flac"].read_text():
            raise ValueError("boom")

    good, bad, last = bench.run(
        bench.title("good"), bench.title("bad", previous="good"), bench.title("last"), hook=hook
    )
    assert good.complete and last.complete
    assert bad.lost is not None and bad.lost.code == "internal_error" and bad.lost.stage == "separation"


def test_a_full_disk_stops_the_run_and_says_so(bench: Bench) -> None:
    def hook(name: str, scope: Scope, inputs: Mapping[str, Path]) -> None:
        if name == "stems":
            raise OSError(28, "No space left on device")

    film = bench.title("film")
    with pytest.raises(StorageError) as caught:
        bench.run(film, hook=hook)
    assert caught.value.code == "disk_full" and "Free some space" in caught.value.message
    bench.run(film)
    assert "separation" not in bench.calls, "what was finished before the disk was full is kept"


def test_cancelling_keeps_what_is_finished(bench: Bench) -> None:
    film = bench.title("film")

    def hook(name: str, scope: Scope, inputs: Mapping[str, Path]) -> None:
        if name == "dubbing":
            raise Cancelled()

    with pytest.raises(Cancelled):
        bench.run(film, hook=hook)
    bench.run(film)
    assert bench.calls["translation"] <= 2 and bench.calls["separation"] == 0


def test_a_title_waits_for_the_cast_of_the_one_before(bench: Bench) -> None:
    first = threading.Event()
    seen: list[bool] = []

    def hook(name: str, scope: Scope, inputs: Mapping[str, Path]) -> None:
        if name == "cast":
            seen.append("previous" in inputs)
            first.set()

    bench.run(bench.title("one", ("es",)), bench.title("two", ("es",), previous="one"), hook=hook, jobs=4)
    assert seen == [False, True]


def test_a_lost_file_is_made_again(bench: Bench, tmp_path: Path) -> None:
    film = bench.title("film", ("es",))
    (run,) = bench.run(film)
    blob = run.done["separation/0000"].outputs["vocals.flac"]
    Store(str(tmp_path / "store")).fetch(blob).unlink()
    bench.run(film)
    assert bench.calls["separation"] == 1


def planned(bench: Bench, titles: int, chunks: int) -> tuple[int, int, Counter[str]]:
    """Tasks done, times that a title was planned, and what was fetched from the store for planning."""
    plans: list[str] = []
    fetched: Counter[str] = Counter()
    real_plan, real_fetch, planner = plan, Store.fetch, threading.current_thread()

    def counting(title: TitleRequest, *rest: object) -> object:
        plans.append(title.name)
        return real_plan(title, *rest)  # type: ignore[arg-type]

    def fetching(store: Store, blob: Blob) -> Path:
        if threading.current_thread() is planner:
            fetched[Path(blob.name).suffix] += 1
        return real_fetch(store, blob)

    folder = bench.folder / f"{titles}x{chunks}"
    folder.mkdir()
    with bench.patch.context() as patch:
        patch.setattr(module, "plan", counting)
        patch.setattr(Store, "fetch", fetching)
        other = Bench(folder, bench.patch)
        runs = other.run(*(other.title(f"t{number}") for number in range(titles)), chunks=chunks)
    assert all(run.ended and not run.failed for run in runs)
    return sum(len(run.done) for run in runs), len(plans), fetched


def test_planning_costs_what_changed_and_fetches_no_sound(bench: Bench) -> None:
    few = planned(bench, 4, 2)
    longer = planned(bench, 4, 12)
    more = planned(bench, 12, 2)
    assert longer[0] > 3 * few[0] and more[0] == 3 * few[0]
    # After ingest, language, and the last line that is spoken; at first; however many tasks there are.
    assert few[1] <= 4 * 4 and longer[1] == few[1] and more[1] == 3 * few[1]
    assert set(longer[2]) == {".json"}, "the plan asks only whether sound is there"


def test_an_earlier_titles_tasks_come_first_and_in_the_plans_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CORES", 1)
    runs = bench.run(bench.title("a"), bench.title("b"))
    begun = [(event.title, event.task) for event in bench.events if event.kind == "task_started"]
    for run in runs:
        mine = [task for title, task in begun if title == run.request.name]
        places = {task.id: place for place, task in enumerate(run.plan.tasks)}
        assert sorted(mine, key=places.__getitem__)[:4] == mine[:4]
    assert [title for title, _ in begun] == ["a"] * len(runs[0].done) + ["b"] * len(runs[1].done)


def test_engines_are_let_go_when_their_last_task_has_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[set[str], set[str]]] = []

    def keep(pool: EnginePool, uses: Iterable[EngineUse]) -> int:
        kept.append(({use.kind for use in uses}, {name for name, _, _ in bench.stages.calls}))
        return 0

    monkeypatch.setattr(EnginePool, "keep", keep)
    bench.run(bench.title("one"), bench.title("two"))
    assert kept[-1][0] == set()
    separated = [kinds for kinds, called in kept if "stems" in called and "separator" not in kinds]
    assert separated and "translator" in separated[0], "one by one, not all at the end"
