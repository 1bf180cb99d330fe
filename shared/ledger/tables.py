"""Tables of the ledger: what is to be done, by whom and how it went. The queue only carries wake-ups.

An output folder of the command line has the same tables in a file of its own; those of keys, workers, uploads and
webhooks stay empty there.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.core.edits import LineEdit

FINAL = ("done", "failed", "cancelled", "skipped")
"""States in which a stage run, a title or a job stays unless somebody asks for more."""


def now() -> datetime:
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """A name nobody can guess or meet twice: ``job_5f0c…``."""
    return f"{prefix}_{uuid.uuid4().hex}"


class Utc(TypeDecorator[datetime]):
    """Times with their zone on every database: SQLite forgets it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


BigId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    # Names for everything: SQLite can alter only what has one.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSON,
        list[str]: JSON,
        datetime: Utc(),
    }


class ApiKey(Base):
    """Who may ask, for what and how much. Only a hash of the key is kept."""

    __tablename__ = "api_key"
    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("key"))
    name: Mapped[str] = mapped_column(String(100))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_minutes: Mapped[float | None]
    max_open_jobs: Mapped[int | None]
    created: Mapped[datetime] = mapped_column(default=now)
    revoked: Mapped[datetime | None]


class Job(Base):
    """One request: titles, languages, settings. Its row is locked by whoever changes anything of the job.

    A training is one too, of another kind and without titles: tasks, events and cancellation are the same.
    """

    __tablename__ = "job"
    __table_args__ = (Index("job_listed", "key_id", "created", "id"),)
    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("job"))
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_key.id"))
    kind: Mapped[str] = mapped_column(String(16), default="job", server_default="job")
    """job or training; its last event is ``<kind>_<state>``."""
    name: Mapped[str] = mapped_column(String(200), default="")
    state: Mapped[str] = mapped_column(String(16), default="running", index=True)
    """running → done (some titles may have failed), failed (all did), cancelling → cancelled; a training may be
    waiting before."""
    languages: Mapped[list[str]]
    settings: Mapped[dict[str, Any]]
    then_train: Mapped[str | None] = mapped_column(String(100))
    webhook_url: Mapped[str | None]
    webhook_secret: Mapped[str | None] = mapped_column(String(100))
    traceparent: Mapped[str | None] = mapped_column(String(60))
    created: Mapped[datetime] = mapped_column(default=now)
    finished: Mapped[datetime | None]
    events: Mapped[int] = mapped_column(default=0)
    """Number of the latest event: events of a job are counted without a gap."""
    runs: Mapped[int] = mapped_column(default=0)
    runs_ended: Mapped[int] = mapped_column(default=0)
    titles: Mapped[int] = mapped_column(default=0)
    titles_ended: Mapped[int] = mapped_column(default=0)
    titles_failed: Mapped[int] = mapped_column(default=0)
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Of a finished job: accepted, rejected (rows), tracks (track → accepted rows)."""


class Title(Base):
    """One submitted video. Its name is a safe folder name, unique in the job.

    In an output folder a title belongs to the run that it first came with and is unique among all of them; later runs
    have tasks of it too.
    """

    __tablename__ = "title"
    __table_args__ = (UniqueConstraint("job_id", "name"), UniqueConstraint("job_id", "position"))
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    source_kind: Mapped[str] = mapped_column(String(16))
    """upload: the blob is there; url, path: it is fetched first."""
    source: Mapped[str | None]
    source_name: Mapped[str] = mapped_column(String(255))
    video: Mapped[dict[str, Any] | None]
    """The stored blob, ``{name, sha256, size}``; None until fetched."""
    transcript: Mapped[dict[str, Any] | None]
    """A stored blob likewise; ``{path}`` in an output folder."""
    translations: Mapped[dict[str, Any] | None]
    """Language → the same of a translation that was given."""
    subtitles: Mapped[str | None] = mapped_column(String(16))
    """embedded: the video's own subtitle streams stand for what was not given."""
    languages: Mapped[list[str]]
    settings: Mapped[dict[str, Any] | None]
    """Those that it was dubbed with last, where they are not its job's (output folders)."""
    state: Mapped[str] = mapped_column(String(16), default="running")
    error: Mapped[dict[str, Any] | None]
    plan_complete: Mapped[bool] = mapped_column(default=False)
    stale: Mapped[bool] = mapped_column(default=False)
    """The plan asks something else of a task that is being done: plan again at its end."""
    open_runs: Mapped[int] = mapped_column(default=0)
    """Planned stage runs that have not come to an end."""
    seconds: Mapped[float] = mapped_column(default=0.0)
    """Duration, once it was probed."""


class StageRun(Base):
    """One task of a title (or of the whole job), and who works on it."""

    __tablename__ = "stage_run"
    __table_args__ = (
        UniqueConstraint("job_id", "title", "task"),
        Index("stage_run_ready", "queue", "state", "id"),
        Index("stage_run_owner", "owner"),
        Index("stage_run_of_title", "title_id", "stage", "state"),
        Index("stage_run_key", "key"),
    )
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    title_id: Mapped[int | None] = mapped_column(ForeignKey("title.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(200), default="")
    task: Mapped[str] = mapped_column(String(200))
    stage: Mapped[str] = mapped_column(String(32))
    queue: Mapped[str] = mapped_column(String(32))
    language: Mapped[str | None] = mapped_column(String(16))
    scope: Mapped[dict[str, Any]] = mapped_column(default=dict)
    inputs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Name → ``{task, output}``, a stored blob ``{name, sha256, size}``, or the ``{path}`` of a user's file."""
    state: Mapped[str] = mapped_column(String(16))
    """waiting (for ``waiting`` others) → ready → running → done | failed | cancelled | skipped; resting before it is
    tried again."""
    waiting: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(40))
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    progress: Mapped[float] = mapped_column(default=0.0)
    key: Mapped[str | None] = mapped_column(String(64))
    outputs: Mapped[dict[str, Any] | None]
    cached: Mapped[bool] = mapped_column(default=False)
    computed: Mapped[int] = mapped_column(default=0)
    """How often it was really done; found results do not count."""
    seconds: Mapped[float] = mapped_column(default=0.0)
    engine_seconds: Mapped[float] = mapped_column(default=0.0)
    counters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    engines: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[dict[str, Any] | None]


class Need(Base):
    """A stage run waits for another one: fan-in is counted along these edges."""

    __tablename__ = "need"
    needs_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("stage_run.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    run_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("stage_run.id", ondelete="CASCADE"), primary_key=True, index=True, autoincrement=False
    )


class Event(Base):
    """What happened in a job, in order, without a gap. Rows are only ever added."""

    __tablename__ = "event"
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(default=now)
    kind: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]]


class Edit(Base):
    """A line that a person wrote: it replaces the machine's translation."""

    __tablename__ = "edit"
    title_id: Mapped[int] = mapped_column(ForeignKey("title.id", ondelete="CASCADE"), primary_key=True)
    language: Mapped[str] = mapped_column(String(16), primary_key=True)
    utterance: Mapped[str] = mapped_column(String(16), primary_key=True)
    text: Mapped[str]
    start: Mapped[float | None]
    end: Mapped[float | None]
    source: Mapped[str | None]
    """Time and text of the line it belongs to, whatever number that has by now."""
    pending: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Its job has not ended well yet: what fails of it is taken back."""
    replaced: Mapped[dict[str, Any] | None]
    """The edit before it, which comes back then."""
    created: Mapped[datetime] = mapped_column(default=now)

    @property
    def line(self) -> LineEdit:
        return LineEdit(self.utterance, self.text, self.start, self.end, self.source)


class Artifact(Base):
    """A finished file of a job at its place in the output layout (``docs/output.md``)."""

    __tablename__ = "artifact"
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(String(500), primary_key=True)
    title: Mapped[str] = mapped_column(String(200), default="", index=True)
    internal: Mapped[bool] = mapped_column(default=False)
    """Input of the job's tables and report, not shown to users."""
    name: Mapped[str] = mapped_column(String(255))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)


class Worker(Base):
    """A process that runs tasks. It is alive while ``beat`` moves; clocks are not asked."""

    __tablename__ = "worker"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    queues: Mapped[list[str]]
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    started: Mapped[datetime] = mapped_column(default=now)
    beat: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(16), default="alive", index=True)
    """alive, stopped (ended in order), lost (its beat stood still)."""


class Upload(Base):
    """A file on its way in (tus): bytes up to ``offset`` are safely here."""

    __tablename__ = "upload"
    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("upl"))
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_key.id"))
    name: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    offset: Mapped[int] = mapped_column(BigInteger, default=0)
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]
    blob: Mapped[dict[str, Any] | None]
    """Set when complete: ``{name, sha256, size}``."""


class Delivery(Base):
    """A webhook message on its way out."""

    __tablename__ = "delivery"
    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("msg"))
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    body: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16), default="waiting", index=True)
    """waiting → sent | failed."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt: Mapped[datetime] = mapped_column(default=now)
    last_status: Mapped[int | None]


class Usage(Base):
    """Seconds of a title that were worked on. Rows are only ever added: deleting a job gives nothing back."""

    __tablename__ = "usage"
    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str] = mapped_column(String(200), primary_key=True)
    key_id: Mapped[str | None] = mapped_column(String(40), index=True)
    seconds: Mapped[float]
    at: Mapped[datetime] = mapped_column(default=now)


class Idempotency(Base):
    """The answer that was given to a request with an Idempotency-Key."""

    __tablename__ = "idempotency"
    owner: Mapped[str] = mapped_column(String(40), primary_key=True)
    """Id of the API key, or empty on loopback without keys."""
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    """None while the first request is still being answered."""
    location: Mapped[str | None]
    response: Mapped[dict[str, Any] | None]
    created: Mapped[datetime] = mapped_column(default=now)
