"""Both executors make the same of the same plans and faults: tasks, artifacts, events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import select

from shared.ledger.folder import open_folder_ledger
from shared.ledger.tables import Event, StageRun
from shared.pipeline.events import RunEvent
from shared.pipeline.ledger import UNPLANNED
from shared.pipeline.planner import task_language
from tests.integration.queue.rig import Rig
from tests.integration.queue.undisturbed import LEDGER, undisturbed

pytestmark = pytest.mark.usefixtures("null_stages")


class Fault(NamedTuple):
    """A task that fails for good, and what must be done before it does."""

    task: str
    after: str | None = None

    @property
    def trap(self) -> str:
        return self.task.replace("/", "+")

    @property
    def language(self) -> str | None:
        return task_language(self.task)


CASES: dict[str, tuple[tuple[str, ...], Fault | None]] = {
    "nothing": (("film",), None),
    "titles in a row": (("one", "two", "three"), None),
    "a language before anything was made of it": (("film",), Fault("translation/de/0001")),
    "a language after the level": (("film",), Fault("quality/es/0000", after="level")),
    "a language after another one's track": (("film",), Fault("quality/es/0000", after="track/fr")),
    "a language of all titles": (("one", "two"), Fault("dubbing/fr/0000")),
    "all languages": (("film",), Fault("speakers")),
    "the video": (("film",), Fault("ingest")),
    "one of several videos": (("one", "two", "three"), Fault("ingest@two")),
    "what is made last": (("film",), Fault("pairs")),
}


class Books(NamedTuple):
    """What a ledger says of a run."""

    states: dict[tuple[str, str], str]
    events: Counter[tuple[str, str | None, str | None]]
    """Kind, title, task → how often. Whether a result was found or computed is not among it: titles share results."""

    def settled(self, fault: Fault) -> Books:
        """Without the other tasks of the language that failed; where it failed late, every event of a task once."""
        mine = {task for _, task in self.states if fault.language in task.split("/") and task != fault.task}
        states = {key: state for key, state in self.states.items() if key[1] not in mine}
        events = Counter({key: count for key, count in self.events.items() if key[2] not in mine})
        return Books(states, Counter(set(events)) if fault.after else events)


def books(runs: Iterable[StageRun], events: Iterable[Event], unplanned: Collection[str] = UNPLANNED) -> Books:
    """States of the planner's tasks, and how often each thing was told of which task."""
    told = Counter(
        (event.kind, event.data.get("title"), event.data.get("task"))
        for event in events
        if event.data.get("task") not in unplanned and event.kind != "plan_grew" and not event.kind.startswith("job_")
    )
    return Books({(run.title, run.task): run.state for run in runs if run.task not in unplanned}, told)


def inside_books(folder: Path) -> Books:
    database = open_folder_ledger(folder / LEDGER)
    try:
        with database.read() as session:
            return books(session.scalars(select(StageRun)), session.scalars(select(Event)))
    finally:
        database.close()


@pytest.fixture(scope="module")
def start_worker() -> Callable[[Rig], int]:
    """Two of them, for all cases."""

    def start(rig: Rig) -> int:
        rig.worker()
        return rig.worker()

    return start


@pytest.mark.parametrize("case", CASES)
def test_the_same_plans_and_faults(working: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    names, fault = CASES[case]
    # Other films than those of the cases before, whose results would be found; translations do not tell films apart.
    rig, mark = working, f"-{list(CASES).index(case)}"
    names = tuple(name + mark for name in names)
    languages = ("de", "fr") if fault is not None and fault.language == "de" else ("es", "fr")
    if fault is not None and "@" in fault.task:
        fault = Fault(fault.task + mark)
    inside, traps = tmp_path / "in process", tmp_path / "in process" / "traps"
    traps.mkdir(parents=True)
    if fault is not None:
        for folder in (rig.traps, traps):
            (folder / f"{fault.trap}.{'hang' if fault.after else 'fail'}").touch()
    job = rig.submit(*names, languages=languages)
    if fault is not None and fault.after:
        rig.until(lambda: (run := rig.run(job, fault.after or "")) and run.state == "done")
        spring(rig.traps, fault)
    ended = rig.wait(job)

    monkeypatch.setenv("COUNTERDUB_TEST_TRAPS", str(traps))
    artifacts = undisturbed(inside, *names, languages=languages, listener=springing(traps, fault), failures=True)
    queued, ran = books(rig.runs(job), rig.events(job)), inside_books(inside)
    if fault is not None:
        # How far a language had come, and what was made with it and had to be made again, is a matter of moments.
        queued, ran = queued.settled(fault), ran.settled(fault)
    assert queued.states == ran.states
    assert queued.events == ran.events
    assert fault is None or "failed" in ran.states.values()
    if ended.state == "done":
        assert kept(rig.artifacts(job), fault) == kept(artifacts, fault)


def kept(artifacts: Mapping[str, str], fault: Fault | None) -> dict[str, str]:
    """Without what a failed language may have left, and the tables, which are made of that too."""
    tables = ("report.json", "report.html", "pairs.parquet", "rejects.parquet")
    left = () if fault is None or fault.language is None else (*tables, f"cast.{fault.language}.json")
    return {path: content for path, content in artifacts.items() if not path.endswith(left)}


def springing(traps: Path, fault: Fault | None) -> Callable[[RunEvent], None]:
    """A listener that has the fault happen once what comes before it is done."""

    def listen(event: RunEvent) -> None:
        if fault is not None and fault.after and event.kind == "task_done" and event.task == fault.after:
            spring(traps, fault)

    return listen


def spring(traps: Path, fault: Fault) -> None:
    """What hung fails."""
    (traps / f"{fault.trap}.fail").touch()
    (traps / f"{fault.trap}.hang").unlink(missing_ok=True)
