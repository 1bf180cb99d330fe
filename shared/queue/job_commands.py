"""What callers ask of jobs: make, cancel, retry, delete, change a line.

Each function is one transaction and returns how many tasks became ready in which queue; wake the workers after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from shared.core.edits import LineAddress, check_line, edit_of, wanted_text
from shared.core.errors import CounterdubError, UsageError
from shared.core.records import Utterance, read_jsonl
from shared.core.store import Blob, Store, fetched
from shared.engines.protocols import EngineOptions, engine_class
from shared.engines.requirements import unspoken
from shared.ledger.database import Database, append_event, locked_job
from shared.ledger.edits import keep_edit
from shared.ledger.tables import FINAL, Artifact, Delivery, Edit, Job, Need, StageRun, Title, Worker, new_id
from shared.pipeline.stage import CARD, card_queues
from shared.pipeline.title_names import unique_names
from shared.queue.scheduling.completion import end_if_cancelled, job_ended, settle_job
from shared.queue.scheduling.plan_sync import sync_plan
from shared.settings.models import Settings

Wakes = Mapping[str, int]
"""Queue → how many tasks became ready in it."""

BROKEN = ("failed", "cancelled", "skipped")
"""What is begun anew when a job or title is retried."""


LOST = "artifact_lost"


@dataclass(frozen=True)
class VideoSource:
    """One video of a request.

    Attributes:
        name: File name as the caller knows it.
        locator: URL, ``s3://`` URL or server-side path of what has to be fetched first.
        blob: The video, where it is in the store already (``upload``).
        transcript: SRT, VTT or JSON with its source text, stored.
        translations: Language → the same with its translation.
    """

    kind: Literal["upload", "url", "path"]
    name: str
    locator: str | None = None
    blob: Blob | None = None
    transcript: Blob | None = None
    translations: Mapping[str, Blob] = field(default_factory=dict)


@dataclass(frozen=True)
class JobOrder:
    """What a job is to do, and for whom.

    Attributes:
        key_id: Id of the caller's API key.
        name: For people.
        then_train: Recipe of a training that begins when the job is done.
        subtitles: ``embedded`` where the videos' own streams stand for what is not given.
        webhook_url: Where the job's end is told, signed with ``webhook_secret``.
        traceparent: What the job's spans go on with (W3C).
    """

    sources: Sequence[VideoSource]
    languages: Sequence[str]
    settings: Settings
    key_id: str | None = None
    name: str = ""
    then_train: str | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None
    traceparent: str | None = None
    subtitles: str | None = None


def create_job(
    database: Database,
    store: Store,
    order: JobOrder,
    *,
    within: Callable[[Session, str], None] = lambda session, job_id: None,
) -> tuple[str, Wakes]:
    """Enter a job with its titles; returns its id.

    Args:
        within: Called first in the job's transaction with the id it will have: checks that refuse it by raising, and
            what has to be written with it or not at all.
    """
    refuse_unspoken(order)
    names = unique_names(source.name.rpartition(".")[0] or source.name for source in order.sources)
    job_id = new_id("job")
    with database.write() as session:
        within(session, job_id)
        refuse_unserved(session, order.settings)
        job = Job(
            id=job_id,
            key_id=order.key_id,
            name=order.name,
            languages=list(order.languages),
            settings=order.settings.model_dump(mode="json"),
            then_train=order.then_train,
            webhook_url=order.webhook_url,
            webhook_secret=order.webhook_secret,
            traceparent=order.traceparent,
            titles=len(order.sources),
        )
        session.add(job)
        session.flush()
        titles = [
            Title(
                job_id=job.id,
                position=position,
                name=names[position],
                source_kind=source.kind,
                source=source.locator,
                source_name=source.name[:255],
                video=asdict(source.blob) if source.blob else None,
                transcript=asdict(source.transcript) if source.transcript else None,
                translations={lang: asdict(text) for lang, text in source.translations.items()} or None,
                subtitles=order.subtitles,
                languages=list(order.languages),
            )
            for position, source in enumerate(order.sources)
        ]
        session.add_all(titles)
        append_event(session, job, "job_created", titles=names[:100], count=len(names), languages=list(order.languages))
        session.flush()
        # What every title begins with, all at once: nothing has to be read for it.
        wakes = sync_plan(session, job, titles, store)
    return job.id, wakes


def refuse_unspoken(order: JobOrder) -> None:
    """Refuse a language that the synthesiser has no voice for, where that is known without its packages and models.

    Raises:
        UsageError: ``unsupported_language``.
    """
    chosen = order.settings.dubbing
    if chosen.model:
        return  # A folder is with the workers alone.
    try:
        kind = engine_class("synthesizer", chosen.engine)
    except CounterdubError:
        return  # Its task will say so.
    if lack := unspoken(kind, EngineOptions(), order.languages):
        raise UsageError(lack.message, code=lack.code)


def refuse_unserved(session: Session, settings: Settings) -> None:
    """Refuse what would wait for ever.

    Raises:
        UsageError: ``no_card_worker`` where no worker has the torch or the card that the settings ask for.
    """
    asked = {f"{queue}{CARD}" for queue in card_queues(settings)}
    if not asked:
        return
    served = {name for names in session.scalars(select(Worker.queues).where(Worker.state == "alive")) for name in names}
    if lacking := sorted(asked - served):
        raise UsageError(
            "These settings ask for engines on torch or a graphics card, and no worker that runs has them: none serves "
            f"{', '.join(lacking)}. Take another profile, or start such workers first.",
            code="no_card_worker",
            queues=lacking,
        )


def cancel_job(database: Database, job_id: str) -> Wakes:
    """Stop a job: what waits is dropped at once, what runs is told to end; finished work stays in the store.

    Raises:
        UsageError: ``no_such_job`` or ``job_ended``.
    """
    with database.write() as session:
        job = existing_job(session, job_id)
        if job.state in FINAL:
            raise UsageError("This job has come to its end already.", code="job_ended")
        if job.state == "waiting":  # A training for which there were not enough pairs.
            job_ended(session, job, "cancelled")
        if job.state == "running":
            job.state = "cancelling"
            append_event(session, job, f"{job.kind}_cancelling")
            waiting = StageRun.job_id == job.id, StageRun.state.in_(("waiting", "ready", "resting"))
            dropped: Any = session.execute(update(StageRun).where(*waiting).values(state="cancelled"))
            job.runs_ended += dropped.rowcount
            session.execute(update(Title).where(Title.job_id == job.id).values(open_runs=0))
            end_if_cancelled(session, job)
    return {}


def retry_job(
    database: Database, store: Store, job_id: str, within: Callable[[Session], None] = lambda session: None
) -> Wakes:
    """Do the failed or cancelled parts of an ended job again; finished ones are kept.

    Args:
        within: Called first in its transaction; refuses by raising.

    Raises:
        UsageError: ``no_such_job``, ``job_running`` or ``nothing_to_retry``.
    """
    with database.write() as session:
        within(session)
        job = ended_job(session, job_id)
        of_job = StageRun.job_id == job.id, StageRun.state.in_(BROKEN)
        names = set(session.scalars(select(StageRun.title).where(*of_job)))
        names |= set(session.scalars(select(Title.name).where(Title.job_id == job.id, Title.state.in_(BROKEN))))
        if not names and job.state == "done":
            raise UsageError("Nothing of this job failed.", code="nothing_to_retry")
        errors: dict[str, list[Any]] = {}
        for row in session.execute(select(StageRun.title, StageRun.error).where(*of_job)):
            errors.setdefault(row.title, []).append(row.error)
        session.execute(delete(StageRun).where(*of_job))
        wanted = select(Title).where(Title.job_id == job.id, Title.name.in_(names)).order_by(Title.position)
        titles = list(session.scalars(wanted))
        for title in titles:
            if LOST in {(error or {}).get("code") for error in (title.error, *errors.get(title.name, ()))}:
                forget_lost(session, store, title)
        reopen(session, job, titles)
        append_event(session, job, "job_retried", titles=len(titles))
        # Where all titles are finished, the job's own tables are what failed.
        return sync_plan(session, job, titles, store) or settle_job(session, job)


def forget_lost(session: Session, store: Store, title: Title) -> None:
    """Have what the store has lost made anew: finished tasks whose files are gone count as never done."""
    done = select(StageRun.id, StageRun.outputs).where(StageRun.title_id == title.id, StageRun.state == "done")
    for run in session.execute(done).all():
        if not all(store.holds(Blob(**value)) for value in (run.outputs or {}).values()):
            session.execute(delete(StageRun).where(StageRun.id == run.id))


def edit_line(
    database: Database,
    store: Store,
    job_id: str,
    line: LineAddress,
    text: str,
    *,
    before: Mapping[str, Any] | None = None,
    within: Callable[[Session], None] = lambda session: None,
) -> Wakes:
    """Give one line another text and redo what depends on it, nothing else.

    Args:
        before: What is to be kept of the line as it was; the event has it.
        within: Called first in its transaction; refuses by raising.

    Raises:
        UsageError: ``no_such_job``, ``job_running``, ``unknown_title``, ``unknown_language``, ``unknown_utterance``,
            ``empty_text``, ``long_text``, ``dropped_line``.
    """
    new_text = wanted_text(text)
    with database.write() as session:
        within(session)
        job = ended_job(session, job_id)
        wanted = select(Title).where(Title.job_id == job.id)
        titles = list(session.scalars((wanted.where(Title.name == line.title) if line.title else wanted).limit(2)))
        if len(titles) != 1:
            raise UsageError(
                f"This job has no title “{line.title}”." if line.title else "Say which title of the job.",
                code="unknown_title",
            )
        chosen = titles[0]
        if line.language not in chosen.languages:
            raise UsageError(f"{chosen.name} was not dubbed into {line.language}.", code="unknown_language")
        utterances = spoken(session, store, chosen)
        utterance = next((one for one in utterances if one.id == line.utterance), None)
        if utterance is None:
            raise UsageError(f"{chosen.name} has no utterance “{line.utterance}”.", code="unknown_utterance")
        check_line(utterance)
        keep_edit(session, chosen.id, line.language, edit_of(utterance, new_text), utterances, pending=True)
        if chosen.state != "done":
            broken = StageRun.title_id == chosen.id, StageRun.state.in_(BROKEN)
            session.execute(delete(StageRun).where(*broken))
        session.flush()
        reopen(session, job, titles)
        edited = {"title": chosen.name, "language": line.language, "utterance": line.utterance}
        append_event(session, job, "line_edited", **edited, before=before)
        return sync_plan(session, job, titles, store)


def audition_job(
    database: Database, store: Store, job_id: str, within: Callable[[Session], None] = lambda session: None
) -> Wakes:
    """Have the voices of an ended job's titles heard: the job runs again for the auditions alone.

    Args:
        within: Called first in its transaction; refuses by raising.

    Raises:
        UsageError: ``no_such_job``, ``job_running``, or ``no_finished_title``.
    """
    with database.write() as session:
        within(session)
        job = ended_job(session, job_id)
        done = select(Title).where(Title.job_id == job.id, Title.state == "done").order_by(Title.position)
        titles = list(session.scalars(done))
        if not titles:
            raise UsageError("No title of this job is done, so there is no voice to hear.", code="no_finished_title")
        kept = dict(job.settings)
        job.settings = {**kept, "auditions": {**kept.get("auditions", {}), "wanted": True}}
        session.flush()
        reopen(session, job, titles)
        append_event(session, job, "job_auditioned", titles=len(titles))
        return sync_plan(session, job, titles, store) or settle_job(session, job)


def delete_job(database: Database, job_id: str) -> None:
    """Forget an ended job. Its files stay in the store while other jobs may share them.

    Raises:
        UsageError: ``no_such_job`` or ``job_running``.
    """
    with database.write() as session:
        job = ended_job(session, job_id)
        runs = select(StageRun.id).where(StageRun.job_id == job.id)
        titles = select(Title.id).where(Title.job_id == job.id)
        session.execute(delete(Need).where(Need.run_id.in_(runs)))
        session.execute(delete(Edit).where(Edit.title_id.in_(titles)))
        for table in (StageRun, Artifact, Delivery):
            session.execute(delete(table).where(table.job_id == job.id))
        session.execute(delete(Title).where(Title.job_id == job.id))
        session.delete(job)  # Its events go with it.


def existing_job(session: Session, job_id: str) -> Job:
    """The job, locked; ``no_such_job`` where there is none."""
    job = locked_job(session, job_id)
    if job is None:
        raise UsageError("There is no such job.", code="no_such_job")
    return job


def ended_job(session: Session, job_id: str) -> Job:
    """The job, locked; refused while it runs."""
    job = existing_job(session, job_id)
    if job.state not in FINAL:
        raise UsageError("This job is still running: wait for its end, or cancel it first.", code="job_running")
    return job


def reopen(session: Session, job: Job, titles: Sequence[Title]) -> None:
    """Put an ended job and some of its titles back to work."""
    job.state, job.finished = "running", None
    closing = StageRun.job_id == job.id, StageRun.stage == "dataset"
    session.execute(delete(StageRun).where(*closing))
    for title in titles:
        if title.state in FINAL:
            job.titles_ended -= 1
            job.titles_failed -= title.state == "failed"
        session.execute(delete(StageRun).where(StageRun.title_id == title.id, StageRun.stage == "deliver"))
        title.state, title.error = "running", None
        title.plan_complete = title.stale = False
    job.runs = session.scalar(select(func.count()).where(StageRun.job_id == job.id)) or 0
    job.runs_ended = job.runs
    session.flush()


def spoken(session: Session, store: Store, title: Title) -> list[Utterance]:
    """A title's utterances."""
    run = select(StageRun.outputs).where(StageRun.title_id == title.id, StageRun.task == "speakers")
    outputs = session.scalar(run.where(StageRun.state == "done"))
    if not outputs:
        return []
    path = fetched(store, Blob(**outputs["utterances.jsonl"]), "speakers")
    return read_jsonl(path, Utterance)
