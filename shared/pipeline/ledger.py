"""What was asked for and what became of it: jobs, titles, stage runs, edits and events.

SQLite (WAL) when embedded; the same tables serve a server. The artifact store holds the files.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import JSON, Engine, ForeignKey, String, UniqueConstraint, create_engine, event, inspect, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from shared.core.edits import LineEdit, resolve
from shared.core.errors import CounterdubError, StorageError
from shared.core.records import Utterance
from shared.core.storage_errors import full, storage_error, storage_errors


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[str]: JSON}


class Job(Base):
    """One request: a list of titles, languages, settings."""

    __tablename__ = "job"
    id: Mapped[int] = mapped_column(primary_key=True)
    created: Mapped[datetime] = mapped_column(default=now)
    finished: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(16), default="running")
    settings: Mapped[dict[str, Any]]
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Title(Base):
    """One submitted video. Its name is a safe folder name, unique in the output."""

    __tablename__ = "title"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    source: Mapped[str]
    transcript: Mapped[str | None]
    languages: Mapped[list[str]]
    position: Mapped[int] = mapped_column(default=0)
    settings: Mapped[dict[str, Any] | None]
    """Those that it was dubbed with last."""
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    error: Mapped[dict[str, Any] | None]


class Edit(Base):
    """A line that a person wrote: it replaces the machine's translation. Whose it is, time and source text say."""

    __tablename__ = "edit"
    __table_args__ = (UniqueConstraint("title_id", "language", "utterance"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    title_id: Mapped[int] = mapped_column(ForeignKey("title.id"))
    language: Mapped[str] = mapped_column(String(16))
    utterance: Mapped[str] = mapped_column(String(16))
    text: Mapped[str]
    start: Mapped[float | None]
    end: Mapped[float | None]
    source: Mapped[str | None]
    created: Mapped[datetime] = mapped_column(default=now)

    @property
    def line(self) -> LineEdit:
        return LineEdit(self.utterance, self.text, self.start, self.end, self.source)


class StageRun(Base):
    """One task done (or found done) within a job."""

    __tablename__ = "stage_run"
    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    task: Mapped[str] = mapped_column(String(200))
    stage: Mapped[str] = mapped_column(String(32))
    language: Mapped[str | None] = mapped_column(String(16))
    key: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    cached: Mapped[bool] = mapped_column(default=False)
    started: Mapped[datetime] = mapped_column(default=now)
    seconds: Mapped[float] = mapped_column(default=0.0)
    engine_seconds: Mapped[float] = mapped_column(default=0.0)
    counters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[dict[str, Any] | None]


class Event(Base):
    """Append-only log of what happened, in order."""

    __tablename__ = "event"
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    at: Mapped[datetime] = mapped_column(default=now)
    kind: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]]


class Database:
    """Sessions on one database file."""

    def __init__(self, path: Path) -> None:
        with storage_errors("the state database"):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _sqlite_pragmas)
        try:
            with self._errors():
                Base.metadata.create_all(self._engine)
                add_columns(self._engine)
        except Exception:
            self.close()
            raise
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back on error.

        Raises:
            StorageError: ``disk_full``, ``not_writable``, ``locked``, ``bad_state`` or ``io_error``.
        """
        with self._errors(), self._sessions.begin() as session:
            yield session

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """SQLite's refusals as errors that say what to do."""
        try:
            yield
        except DatabaseError as error:
            refusal = self._refusal(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)
            if refusal is None:
                raise
            raise refusal from error

    def _refusal(self, code: int) -> CounterdubError | None:
        what = "the state database"
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and full(self._path.parent)):
            return storage_error(OSError(errno.ENOSPC, ""), what)
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return storage_error(OSError(errno.EACCES, ""), what)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StorageError(
                "Another program holds the folder's state database. Try again when it has ended.",
                code="locked",
                retryable=True,
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return StorageError(
                f"The state database {self._path.parent.name}/{self._path.name} is damaged. Delete it and run the same "
                "command again: finished work is found in the store, edited lines are not.",
                code="bad_state",
            )
        return storage_error(OSError(errno.EIO, os.strerror(errno.EIO)), what) if code == sqlite3.SQLITE_IOERR else None


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def add_columns(engine: Engine) -> None:
    """Give tables of earlier versions the columns that came since; all of them may be empty."""
    for name in (Title.__tablename__, Edit.__tablename__):
        there = {column["name"] for column in inspect(engine).get_columns(name)}
        for column in Base.metadata.tables[name].columns:
            if column.name not in there:
                kind = column.type.compile(engine.dialect)
                with engine.begin() as connection:
                    connection.execute(text(f'ALTER TABLE "{name}" ADD COLUMN "{column.name}" {kind}'))


def titles(session: Session) -> list[Title]:
    """All titles of an output folder in the order they were first given."""
    return list(session.scalars(select(Title).order_by(Title.position, Title.id)))


def edits(session: Session, title_id: int) -> dict[str, list[LineEdit]]:
    """Language → the edits of one title, oldest first."""
    result: dict[str, list[LineEdit]] = {}
    for edit in session.scalars(select(Edit).where(Edit.title_id == title_id).order_by(Edit.created, Edit.id)):
        result.setdefault(edit.language, []).append(edit.line)
    return result


def keep_edit(session: Session, title_id: int, language: str, edit: LineEdit, lines: Sequence[Utterance]) -> None:
    """Enter an edit instead of those that its line has had."""
    wanted = select(Edit).where(Edit.title_id == title_id, Edit.language == language)
    for row in list(session.scalars(wanted)):
        if edit.utterance in resolve([row.line], lines).lines:
            session.delete(row)
        elif row.utterance == edit.utterance:
            row.utterance = f"{row.id}"  # Of another line that had this number.
    session.flush()
    session.add(Edit(title_id=title_id, language=language, **edit.to_dict()))
