"""A run into one output folder: what the command line and notebooks call.

The folder keeps its own state in ``OUT/.counterdub``: its ledger, and the artifact store unless the settings name
another.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shared.core.edits import LineEdit, resolve, stored_edits, unspoken
from shared.core.errors import Cancelled, CounterdubError, StorageError
from shared.core.records import Utterance
from shared.core.storage_errors import storage_errors
from shared.core.store import Blob, Store
from shared.ledger.database import Database, append_event
from shared.ledger.edits import keep_edit, title_edits
from shared.ledger.folder import open_folder_ledger
from shared.ledger.tables import Job, Title, new_id
from shared.observability.internal_errors import LOG_NAME, log_file
from shared.pipeline import publish
from shared.pipeline.events import Listener, RunEvent
from shared.pipeline.ledger import TitleOutcome
from shared.pipeline.local_executor import Executor
from shared.pipeline.planner import Task, TitleRequest, task_language
from shared.pipeline.run_ledger import RunLedger
from shared.pipeline.stage import Scope
from shared.pipeline.task_runner import failures
from shared.pipeline.task_work import EnginePool
from shared.schemas.provenance import Sign, signer
from shared.settings.models import Settings
from shared.transcripts.given_texts import EMBEDDED
from shared.weights import WeightFolder

STATE, LEDGER = ".counterdub", "state.db"
log = logging.getLogger(__name__)


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
        database = open_folder_ledger(out / STATE / LEDGER)
        try:
            with log_file(out / LOG_NAME, f"{LOG_NAME} in the output folder"):
                go_on(out)
                yield database
        finally:
            database.close()
    finally:
        lock.release()


@dataclass(frozen=True)
class PendingEdit:
    """An edit that counts only if everything comes of it: else the folder stays as it was."""

    title: int
    """Id in the database."""
    language: str
    edit: LineEdit
    lines: Sequence[Utterance]
    """The title's lines in the source language."""

    def among(self, known: Mapping[str, list[LineEdit]]) -> dict[str, list[LineEdit]]:
        """The title's edits with this one, instead of those that its line has had."""
        others = [e for e in known.get(self.language, []) if self.edit.utterance not in resolve([e], self.lines).lines]
        return {**known, self.language: [*others, self.edit]}


def begin_run(session: Session, settings: Settings, languages: Sequence[str]) -> Job:
    """Enter a run into the folder's ledger."""
    job = Job(id=new_id("job"), languages=list(languages), settings=settings.model_dump(mode="json"))
    session.add(job)
    session.flush()
    return job


@dataclass(frozen=True)
class RunOptions:
    """How a run works, whatever it makes."""

    jobs: int = 1
    """Tasks with engines at a time."""
    fresh: bool = False
    """The work is done again even where the store has it."""
    listener: Listener = lambda event: None


@dataclass(frozen=True)
class EnteredRun:
    """What a run makes, as the ledger has it."""

    job: str
    """Id of the job that was entered for it."""
    sources: set[str]
    """Videos of the titles to run."""
    new_text: PendingEdit | None = None


def run_titles(
    out: Path,
    database: Database,
    settings: Settings,
    entered: EnteredRun,
    options: RunOptions,
    cancelled: threading.Event,
) -> RunSummary:
    """Run the titles with these sources and rebuild the tables and the report of the whole folder.

    Nothing is laid out before everything is made: a run that fails or is killed leaves the folder as it was, or is gone
    on with by the next.
    """
    began = time.perf_counter()
    job_id, sources, new_text, listener = entered.job, entered.sources, entered.new_text, options.listener
    sign = signer(settings.provenance.signing_key)
    store = open_store(out, settings)
    with database.write() as session:
        records = titles(session)
        requests = title_requests(out, session, records, sources, new_text)
        job = session.get_one(Job, job_id)
        job.titles = len(requests)
        names = [request.name for request in requests]
        append_event(session, job, "job_created", titles=names[:100], count=len(names), languages=job.languages)
        number = session.scalar(select(func.count()).select_from(Job)) or 0
    ledger = RunLedger(database, job_id, {record.name: record.id for record in records if record.source in sources})
    executor = Executor(store, EnginePool(WeightFolder()), settings, listener, options.jobs, options.fresh, cancelled)
    try:
        outcomes = [ledger.outcome(title.request, title.plan) for title in executor.run(requests, ledger)]
        if new_text is not None:
            for title in outcomes:
                refuse_half(title, store, new_text)
        made = [delivery(title, store, out, ledger.timings(title.request.name), sign) for title in outcomes]
        tables = whole_run(out, database, executor, made)
        report = json.loads(store.fetch(tables["report.json"]).read_text(encoding="utf-8"))
        enter(database, made, new_text)
        lay_out(out, store, made, tables, settings)
    except BaseException as error:
        try:
            ledger.end_run("cancelled" if isinstance(error, Cancelled) else "failed")
        except StorageError as refused:  # What ended the run is told, not that its end could not be booked either.
            log.warning("the run's end could not be booked: %s", refused.message)
        raise
    ledger.end_run("done")
    listener(RunEvent("run_done"))
    return RunSummary(
        out=out,
        job=number,
        titles=[title_summary(title, ended) for title, ended in zip(outcomes, made, strict=True)],
        accepted=report["accepted"],
        rejected=report["rejected"],
        report=out / "report.html",
        seconds=time.perf_counter() - began,
        engine_seconds=ledger.engine_seconds,
        cached_tasks=ledger.cached,
        computed_tasks=ledger.computed,
    )


def go_on(out: Path) -> None:
    """Lay out the rest of what a killed run had made whole."""
    if (out / STATE / publish.PENDING).exists():
        location = (publish.read_json_if_there(out / STATE / publish.PENDING) or {}).get("store")
        publish.go_on(out, out / STATE, Store(location or str(out.absolute() / STATE / "store")))


def open_store(out: Path, settings: Settings) -> Store:
    """The run's artifact store; what killed runs left half-made in the folder's own is swept away."""
    store = Store(settings.store.url or str(out.absolute() / STATE / "store"))
    if settings.store.url is None:
        store.sweep()
    return store


def titles(session: Session) -> list[Title]:
    """All titles of the folder in the order they were first given."""
    return list(session.scalars(select(Title).order_by(Title.position, Title.id)))


def title_requests(
    out: Path, session: Session, records: Sequence[Title], sources: set[str], new_text: PendingEdit | None = None
) -> list[TitleRequest]:
    """The planner's requests for the titles to run, in the folder's order."""
    requests: list[TitleRequest] = []
    for position, record in enumerate(records):
        if record.source not in sources:
            continue
        before = records[position - 1].name if position else None
        known = title_edits(session, record.id)
        if new_text is not None and new_text.title == record.id:
            known = new_text.among(known)
        casts = {lang: internal(out, before, f"cast.{lang}.json") for lang in record.languages} if before else {}
        requests.append(
            TitleRequest(
                name=record.name,
                source=Path(record.source or ""),
                languages=tuple(record.languages),
                transcript=Path(record.transcript["path"]) if record.transcript else None,
                translations={lang: Path(text["path"]) for lang, text in (record.translations or {}).items()},
                embedded=record.subtitles == EMBEDDED,
                edits={language: stored_edits(some) for language, some in known.items()},
                previous=before,
                earlier_casts={lang: path for lang, path in casts.items() if path.exists()},
            )
        )
    return requests


def internal(out: Path, title: str, name: str) -> Path:
    """Where a title's file for later runs lies."""
    return out / STATE / "titles" / title / name


@dataclass(frozen=True)
class TitleDelivery:
    """What a title that has ended leaves behind."""

    name: str
    error: dict[str, Any] | None
    files: Mapping[str, Blob]
    """Path below the output folder → blob; nothing of a title that failed where an earlier run made it."""
    record: dict[str, Any]
    """``title.json``."""
    provenance: dict[str, Any] | None = None
    """``provenance.json``; None of a title that failed."""


def delivery(
    title: TitleOutcome, store: Store, out: Path, spent: Mapping[str, Mapping[str, float]], sign: Sign | None
) -> TitleDelivery:
    """A title's files. What an earlier run made of one that fails now stays, whole, where it is."""
    name = title.request.name
    record = publish.title_record(title, store, spent)
    if title.lost:
        stays = (out / name / "tracks").is_dir()
        return TitleDelivery(name, title.lost.to_dict(), {} if stays else files_of(title), record)
    return TitleDelivery(name, None, files_of(title), record, publish.provenance_record(title, record, sign))


def files_of(title: TitleOutcome) -> dict[str, Blob]:
    inner = f"{STATE}/titles/{title.request.name}"
    return publish.layout(title) | {f"{inner}/{key}": blob for key, blob in publish.internals(title).items()}


def refuse_half(title: TitleOutcome, store: Store, new: PendingEdit) -> None:
    """Refuse a line's new text of which not everything came.

    Raises:
        CounterdubError: What went wrong, or ``text_not_spoken`` when this line cannot be spoken.
    """
    own = (error for task, error in title.failed.items() if task_language(task) == new.language)
    first = title.lost or next(own, None)
    if first is not None:
        raise CounterdubError(
            f"{first.message} Nothing was changed.", code=first.code, stage=first.stage, retryable=first.retryable
        )
    for task, done in title.done.items():
        if task.startswith(f"dubbing/{new.language}/"):
            silent = unspoken(store.fetch(done.outputs["dubbed.jsonl"]), {new.edit.utterance})
            if silent is not None:
                raise CounterdubError(
                    f"“{new.edit.text}” cannot be spoken in {new.language} ({silent[1]}). Nothing was changed.",
                    code="text_not_spoken",
                    stage="dubbing",
                )


def enter(database: Database, made: Sequence[TitleDelivery], new_text: PendingEdit | None) -> None:
    """Book how the titles ended, and the edit that came of it."""
    with database.write() as session:
        for title in made:
            values = {"state": "failed" if title.error else "done", "error": title.error}
            session.execute(update(Title).where(Title.name == title.name).values(**values))
        if new_text is not None:
            keep_edit(session, new_text.title, new_text.language, new_text.edit, new_text.lines, pending=False)


def lay_out(
    out: Path, store: Store, made: Sequence[TitleDelivery], tables: Mapping[str, Blob], settings: Settings
) -> None:
    """Put what was made, and the tables, where people find it."""
    files = {path: blob for title in made for path, blob in title.files.items()}
    records = {f"{title.name}/title.json": title.record for title in made}
    records |= {f"{title.name}/provenance.json": title.provenance for title in made if title.provenance}
    whole = [title.name for title in made if not title.error]
    publish.lay_out(out, out / STATE, store, {**files, **tables}, records, whole, settings.store.url)


def whole_run(
    out: Path, database: Database, executor: Executor, made: Sequence[TitleDelivery] = ()
) -> Mapping[str, Blob]:
    """``pairs.parquet``, ``rejects.parquet`` and the report of all titles of the folder, not yet laid out.

    Args:
        made: Titles of this run: what they leave counts instead of what lies in the folder.
    """
    fresh = {title.name: title for title in made}
    with database.read() as session:
        records = titles(session)
        errors = {record.name: record.error for record in records if record.state == "failed" and record.error}
        names = [record.name for record in records if record.state != "waiting" or record.name in fresh]
    errors = {name: error for name, error in errors.items() if name not in fresh}
    errors |= {title.name: title.error for title in made if title.error}
    with executor.store.workspace() as folder:
        inputs: dict[str, Path | Blob] = {}
        for number, name in enumerate(names):
            inputs |= dataset_inputs(out, name, fresh.get(name))
            if name in fresh:
                path = inputs[f"{name}/title.json"] = folder / f"{number}.json"
                path.write_text(json.dumps(fresh[name].record, ensure_ascii=False), encoding="utf-8")
        scope = Scope(extra={"titles": names, "failed": errors})
        with failures("dataset", "the tables and the report"):
            return executor.execute("", Task("dataset", "dataset", scope), inputs).outputs


def dataset_inputs(out: Path, name: str, made: TitleDelivery | None) -> dict[str, Path | Blob]:
    """What the tables and the report are made of, of one title."""
    inner = f"{STATE}/titles/{name}/"
    if made is not None and made.files:
        ours = {path: f"{name}/{path.removeprefix(inner)}" for path in made.files if path.startswith(inner)}
        ours |= {path: path for path in made.files if path.startswith(f"{name}/utterances/")}
        return {ours[path]: made.files[path] for path in ours}
    inputs: dict[str, Path | Blob] = {f"{name}/{path.name}": path for path in sorted((out / inner).glob("*"))}
    inputs[f"{name}/title.json"] = out / name / "title.json"
    for lines in sorted((out / name / "utterances").glob("*.jsonl")):
        inputs[f"{name}/utterances/{lines.name}"] = lines
    return inputs


def title_summary(title: TitleOutcome, made: TitleDelivery) -> dict[str, Any]:
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
        "notes": made.record["notes"],
        "error": title.lost.to_dict() if title.lost else None,
    }
