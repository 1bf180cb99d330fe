"""Which engines a run may still ask for, as its tasks end."""

from __future__ import annotations

from shared.core.store import Blob
from shared.pipeline.planner import Plan, Task
from shared.pipeline.readiness import Demand, Readiness
from shared.pipeline.stage import Scope
from shared.settings.models import Settings, load_settings

SOURCE = Blob("film.mp4", "0" * 64, 1)
INGEST = Task("ingest", "ingest", Scope(), {"source": SOURCE})
HEARD = [Task(name, name.partition("/")[0], Scope(chunk=0)) for name in ("separation/0000", "transcription/0000")]
SPOKEN = [Task("dubbing/es/0000", "dubbing", Scope("es", 0))]


def planned(demand: Demand, title: str, tasks: list[Task], *, complete: bool = False) -> Readiness:
    readiness = Readiness()
    plan = Plan(tasks, complete=complete)
    readiness.adopt(plan, ())
    assert demand.plan(title, plan, readiness) is complete
    return readiness


def kinds(demand: Demand, settings: Settings) -> set[str] | None:
    uses = demand.engines(settings, ["es"])
    return None if uses is None else {use.kind for use in uses}


def test_engines_are_wanted_until_their_last_task_has_ended() -> None:
    settings, demand = load_settings("gpu"), Demand(["film"])
    assert demand.engines(settings, ["es"]) is None, "nothing is known before the title is opened"
    planned(demand, "film", [INGEST, *HEARD, *SPOKEN])
    assert {"separator", "recognizer", "synthesizer", "shot_detector"} <= (kinds(demand, settings) or set())
    assert demand.end("film", "ingest") and demand.end("film", "separation")
    assert not (kinds(demand, settings) or set()) & {"separator", "shot_detector"}
    assert demand.end("film", "transcription")
    assert "recognizer" not in (kinds(demand, settings) or set()), "the guard of this profile listens to nothing"
    assert demand.end("film", "dubbing")
    assert "synthesizer" in (kinds(demand, settings) or set()), "voices may yet be cast and heard"
    planned(demand, "film", [INGEST, *HEARD, *SPOKEN], complete=True)
    demand.drop("film")
    assert demand.engines(settings, ["es"]) == []


def test_another_title_may_want_them_all() -> None:
    settings, demand = load_settings("gpu"), Demand(["one", "two"])
    planned(demand, "one", [INGEST, *HEARD])
    planned(demand, "two", [INGEST])
    assert demand.end("one", "separation")
    assert demand.engines(settings, ["es"]) is None
    planned(demand, "two", [INGEST, *HEARD])
    assert "separator" in (kinds(demand, settings) or set())
    assert demand.end("two", "separation")
    assert "separator" not in (kinds(demand, settings) or set())
