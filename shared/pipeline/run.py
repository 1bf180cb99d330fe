"""A run into one output folder: what the command line and notebooks call.

The folder keeps its own state in ``OUT/.counterdub``: the database of what was asked, and the artifact store unless
the settings name another.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from shared.database import Database, Event, Job, StageRun, Title, edits, now, titles
from shared.disk import storage_errors
from shared.errors import CounterdubError, StorageError
from shared.observability.internal_errors import LOG_NAME, log_file
from shared.pipeline import publish
from shared.pipeline.events import Listener, RunEvent
from shared.pipeline.executor import Executor, TitleRun
from shared.pipeline.performing import failures
from shared.pipeline.planner import Task, TitleRequest, task_language
from shared.pipeline.stage import Scope
from shared.pipeline.work import EnginePool
from shared.settings import Settings
from shared.store import Store
from shared.weights import WeightFolder

STATE = ".counterdub"


@dataclass(frozen=True)
class RunSummary:
    """How a run ended, for people and programs."""

    out: Path
    job: int
    titles: list[dict[str, Any]]
    """name, state (done, failed), tracks, failed_languages, notes, error."""
    accepted: int
    rejected: int
    report: Path
    seconds: float
    engine_seconds: float
    cached_tasks: int
    computed_tasks: int

    @property
    def all_done(self) -> bool:
        return all(title["state"] == "done" and not title["failed_languages"] for title in self.titles)

    def to_dict(self) -> dict[str, Any]:
        return {
            "out": str(self.out),
            "job": self.job,
            "titles": self.titles,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "report": str(self.report),
            "seconds": round(self.seconds, 3),
            "engine_seconds": round(self.engine_seconds, 3),
            "cached_tasks": self.cached_tasks,
            "computed_tasks": self.computed_tasks,
        }


@contextmanager
def opened(out: Path, wait: float = 0.0) -> Iterator[Database]:
    """The output folder's database, with the folder locked against other runs.

    Raises:
        StorageError: ``locked`` when another run works there; ``not_writable``.
    """
    with storage_errors("the output folder"):
        (out / STATE).mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / STATE / "lock", timeout=wait)
    with storage_errors("the output folder"):
        try:
            lock.acquire()
        except Timeout as error:  # An OSError too, so it is caught before the others.
            raise StorageError(
                "Another run is working in this output folder. Wait for it to end, or choose another folder.",
                code="locked",
                retryable=True,
            ) from error
    try:
        database = Database(out / STATE / "state.db")
        try:
            with log_file(out / LOG_NAME, f"{LOG_NAME} in the output folder"):
                yield database
        finally:
            database.close()
    finally:
        lock.release()


def run(
    out: Path,
    database: Database,
    settings: Settings,
    sources: set[str],
    jobs: int,
    fresh: bool,
    listener: Listener,
) -> RunSummary:
    """Run the titles with these sources and rebuild the tables and the report of the whole folder."""
    began = time.perf_counter()
    store = open_store(out, settings)
    with database.session() as session:
        records = titles(session)
        requests = title_requests(out, session, records, sources)
        job = Job(settings=settings.model_dump(mode="json"))
        session.add(job)
        session.flush()
        job_id = job.id
    journal = Journal(database, job_id, listener)
    executor = Executor(store, EnginePool(WeightFolder()), settings, journal, jobs, fresh)
    state = "failed"
    try:
        runs = executor.run(requests)
        for title in runs:
            deliver(title, store, out, journal, database)
        report = whole_run(out, database, executor)
        state = "done"
    except CounterdubError as error:
        state = "cancelled" if error.code == "cancelled" else "failed"
        raise
    finally:
        with database.session() as session:
            session.execute(update(Job).where(Job.id == job_id).values(state=state, finished=now()))
    listener(RunEvent("run_done"))
    return RunSummary(
        out=out,
        job=job_id,
        titles=[title_summary(out, title) for title in runs],
        accepted=report["accepted"],
        rejected=report["rejected"],
        report=out / "report.html",
        seconds=time.perf_counter() - began,
        engine_seconds=journal.engine_seconds,
        cached_tasks=journal.cached,
        computed_tasks=journal.computed,
    )


def open_store(out: Path, settings: Settings) -> Store:
    """The run's artifact store; what killed runs left half-made in the folder's own is swept away."""
    store = Store(settings.store.url or str(out.absolute() / STATE / "store"))
    if settings.store.url is None:
        store.sweep()
    return store


def title_requests(out: Path, session: Session, records: Sequence[Title], sources: set[str]) -> list[TitleRequest]:
    """The planner's requests for the titles to run, in the folder's order."""
    requests: list[TitleRequest] = []
    for position, record in enumerate(records):
        if record.source not in sources:
            continue
        before = records[position - 1].name if position else None
        casts = {lang: internal(out, before, f"cast.{lang}.json") for lang in record.languages} if before else {}
        requests.append(
            TitleRequest(
                name=record.name,
                source=Path(record.source),
                languages=tuple(record.languages),
                transcript=Path(record.transcript) if record.transcript else None,
                edits=edits(session, record.id),
                previous=before,
                earlier_casts={lang: path for lang, path in casts.items() if path.exists()},
            )
        )
    return requests


def internal(out: Path, title: str, name: str) -> Path:
    """Where a title's file for later runs lies."""
    return out / STATE / "titles" / title / name


class Journal:
    """Writes events and stage runs into the database and passes events on."""

    def __init__(self, database: Database, job: int, listener: Listener) -> None:
        self.engine_seconds = 0.0
        self.cached = 0
        self.computed = 0
        self.job = job
        self._database = database
        self._listener = listener

    def __call__(self, event: RunEvent) -> None:
        self._listener(event)
        if event.kind == "task_done":
            self.engine_seconds += event.engine_seconds or 0.0
            self.cached += bool(event.cached)
            self.computed += not event.cached
        if event.kind not in {"task_progress", "plan_grew"}:
            with self._database.session() as session:
                session.add(Event(job_id=self.job, kind=event.kind, data=event.to_dict()))

    def book(self, title: TitleRun) -> None:
        """Keep what each task of a title cost."""
        with self._database.session() as session:
            for task in title.plan.tasks:
                done, error = title.done.get(task.id), title.failed.get(task.id)
                if done is None and error is None:
                    continue
                session.add(
                    StageRun(
                        job_id=self.job,
                        title=title.request.name,
                        task=task.id,
                        stage=task.stage,
                        language=task_language(task.id),
                        key=done.key if done else None,
                        state="done" if done else "failed",
                        cached=bool(done and done.cached),
                        seconds=done.seconds if done else 0.0,
                        engine_seconds=done.engine_seconds if done else 0.0,
                        counters=done.counters if done else {},
                        error=error.to_dict() if error else None,
                    )
                )


def timings(database: Database, run: TitleRun) -> dict[str, dict[str, float]]:
    """Seconds by stage when the results were computed, in this run or an earlier one."""
    keys = {done.key for done in run.done.values()}
    spent: dict[str, dict[str, float]] = {}
    with database.session() as session:
        rows = session.scalars(
            select(StageRun).where(StageRun.title == run.request.name, StageRun.cached.is_(False)).order_by(StageRun.id)
        )
        latest = {row.key: row for row in rows if row.key in keys}
    for row in latest.values():
        total = spent.setdefault(row.stage, {"seconds": 0.0, "engine_seconds": 0.0, "tasks": 0})
        total["seconds"] = round(total["seconds"] + row.seconds, 3)
        total["engine_seconds"] = round(total["engine_seconds"] + row.engine_seconds, 3)
        total["tasks"] += 1
    return spent


def deliver(title: TitleRun, store: Store, out: Path, journal: Journal, database: Database) -> None:
    """Lay a finished title out below ``out`` and book what it cost.

    What an earlier run made of a title that fails now stays where it is.
    """
    name = title.request.name
    journal.book(title)
    files = publish.layout(title)
    publish.place(files, store, out)
    if not title.lost:
        publish.prune(name, files, out)
    publish.place({f"{STATE}/titles/{name}/{key}": blob for key, blob in publish.internals(title).items()}, store, out)
    publish.write_json(out / name / "title.json", publish.title_record(title, store, timings(database, title)))
    error = title.lost.to_dict() if title.lost else None
    with database.session() as session:
        values = {"state": "failed" if error else "done", "error": error}
        session.execute(update(Title).where(Title.name == name).values(**values))


def whole_run(out: Path, database: Database, executor: Executor) -> dict[str, Any]:
    """Make ``pairs.parquet``, ``rejects.parquet`` and the report from all titles of the folder."""
    with database.session() as session:
        records = titles(session)
        failed = {record.name: record.error for record in records if record.state == "failed" and record.error}
        names = [record.name for record in records if record.state != "waiting"]
    inputs: dict[str, Path] = {}
    for name in names:
        for path in sorted((out / STATE / "titles" / name).glob("*")):
            inputs[f"{name}/{path.name}"] = path
        inputs[f"{name}/title.json"] = out / name / "title.json"
        for lines in sorted((out / name / "utterances").glob("*.jsonl")):
            inputs[f"{name}/utterances/{lines.name}"] = lines
    scope = Scope(extra={"titles": names, "failed": failed})
    with failures("dataset", "the tables and the report"):
        done = executor.execute("", Task("dataset", "dataset", scope), inputs)
    publish.place(done.outputs, executor.store, out)
    return publish.read_json(out / "report.json")


def title_summary(out: Path, title: TitleRun) -> dict[str, Any]:
    """One title's part of the summary."""
    return {
        "title": title.request.name,
        "state": "failed" if title.lost else "done",
        "source_language": title.plan.source_language,
        "tracks": list(title.plan.tracks),
        "failed_languages": {
            lang: next(error.to_dict() for task, error in title.failed.items() if task_language(task) == lang)
            for lang in title.plan.failed_languages
        },
        "notes": (publish.read_json(out / title.request.name / "title.json") or {}).get("notes", []),
        "error": title.lost.to_dict() if title.lost else None,
    }
