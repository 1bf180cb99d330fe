"""Sessions on a ledger's database: SQLite (WAL) on one machine, PostgreSQL beyond."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from shared.core.errors import CounterdubError, StorageError, UsageError
from shared.ledger import training_tables  # noqa: F401 - whoever opens a database knows all its tables
from shared.ledger.tables import Event, Job

DATABASE = "database"
"""What an error of the database names as its ``part``."""

SQLITE_AWAY = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
)
POSTGRESQL_READ_ONLY, POSTGRESQL_FULL = "25006", "53100"


Refusal = Callable[[DBAPIError], CounterdubError | None]
"""What an error of the database means for whoever uses it; None where it is a fault of ours."""


class Database:
    """A ledger's database.

    Args:
        url: SQLAlchemy URL: ``sqlite:////data/counterdub.db`` or ``postgresql://user:password@host/name``.
        refusal: For the services: whatever the database refuses is tried again.

    Raises:
        UsageError: ``bad_database_url``.
    """

    def __init__(self, url: str | URL, refusal: Refusal | None = None) -> None:
        self._refusal = refusal or refused
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if not self.is_sqlite and parsed.get_backend_name() != "postgresql":
            raise UsageError("The database must be SQLite or PostgreSQL.", code="bad_database_url")
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        extra: dict[str, Any] = {"connect_args": {"timeout": 60}} if self.is_sqlite else {"pool_pre_ping": True}
        self.engine = create_engine(parsed, **extra)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _sqlite_connect)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that changes nothing.

        Raises:
            StorageError: ``database_away`` or ``disk_full`` (retryable).
        """
        with self.translated(), self._sessions.begin() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back on error.

        SQLite takes its one write lock at the beginning: a transaction that reads first and writes then would be
        refused whenever another one came between.

        Raises:
            StorageError: ``database_away`` or ``disk_full`` (retryable).
        """
        with self.translated(), self._sessions.begin() as session:
            if self.is_sqlite:
                session.execute(text("BEGIN IMMEDIATE"))
            yield session

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """What the database refuses within, as an error that says what to do."""
        try:
            yield
        except DBAPIError as error:
            refusal = self._refusal(error)
            if refusal is None:
                raise
            raise refusal from error


def refused(error: DBAPIError) -> CounterdubError | None:
    """``database_away`` or ``disk_full``, both retryable."""
    if _full(error):
        return StorageError(
            "The database's disk is full. Nothing is lost; whoever runs the service has to free some space.",
            code="disk_full",
            retryable=True,
            part=DATABASE,
        )
    if error.connection_invalidated or _refused(error):
        return StorageError(
            "The database does not answer. It is tried again.", code="database_away", retryable=True, part=DATABASE
        )
    return None


def is_away(error: CounterdubError) -> bool:
    """Whether it is the database that could not be asked or written to: later the same may go well."""
    return error.code == "database_away" or error.details.get("part") == DATABASE


def sqlite_code(error: DBAPIError) -> int | None:
    """SQLite's primary error code."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _full(error: DBAPIError) -> bool:
    return sqlite_code(error) == sqlite3.SQLITE_FULL or getattr(error.orig, "sqlstate", None) == POSTGRESQL_FULL


def _refused(error: DBAPIError) -> bool:
    """Whether another try may help. SQLite says OperationalError to everything: to a wrong statement too."""
    code = sqlite_code(error)
    if code is not None:
        return code in SQLITE_AWAY
    # A server that takes over, or stands by, can be read only: psycopg calls that an internal error.
    read_only = getattr(error.orig, "sqlstate", None) == POSTGRESQL_READ_ONLY
    return read_only or isinstance(error, OperationalError)


def _sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver would begin transactions behind our back, and only at the first write.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def locked_job(session: Session, job_id: str) -> Job | None:
    """The job's row, held against everybody else until the transaction ends. Every change of a job begins so."""
    return session.scalars(
        select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True)
    ).first()


def append_event(session: Session, job: Job, kind: str, **data: Any) -> None:
    """Append an event. ``job`` must be locked: that is what keeps the numbers without a gap."""
    job.events += 1
    session.add(Event(job_id=job.id, seq=job.events, kind=kind, data={k: v for k, v in data.items() if v is not None}))
