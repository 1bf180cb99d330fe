"""Bring the services' database to the form that this program expects, and tell when it has another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from shared.core.errors import StorageError
from shared.ledger.database import Database

LOCK = 0x636F756E746572
"""Advisory lock of PostgreSQL that whoever upgrades holds."""


def upgrade(url: str) -> None:
    """Apply all steps that are missing. Any number of processes may do so at once: one works, the others wait.

    Args:
        url: SQLAlchemy URL of the database, as for :class:`shared.ledger.database.Database`.

    Raises:
        StorageError: ``schema_new``: a newer program made this database; ``database_away``.
    """
    database = Database(url)
    try:
        upgrade_database(database)
    except OperationalError as error:
        raise StorageError(
            "The database does not answer. Check its address and try again.", code="database_away", retryable=True
        ) from error
    finally:
        database.close()


def upgrade_database(database: Database) -> None:
    """:func:`upgrade` of an open database; what it refuses comes as it is.

    Raises:
        StorageError: ``schema_new``.
    """
    with connected(database) as connection:
        if state(connection) == "new":
            raise too_new()
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def check_schema(database: Database) -> None:
    """Make sure that the database has the form that this program expects.

    Raises:
        StorageError: ``schema_old`` or ``schema_new``; ``database_away``.
    """
    with database.read() as session:
        schema = state(session.connection())
    if schema == "old":
        raise StorageError(
            "The database has no tables yet or those of an older version. Run: counterdub db upgrade", code="schema_old"
        )
    if schema == "new":
        raise too_new()


def too_new() -> StorageError:
    return StorageError(
        "The database was made by a newer version of counterdub. Install that version or restore a backup.",
        code="schema_new",
    )


def config() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return settings


def state(connection: Connection) -> str:
    """``current``, ``old`` or ``new`` (a step that this program does not know)."""
    steps = ScriptDirectory.from_config(config())
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision == steps.get_current_head():
        return "current"
    known = {step.revision for step in steps.walk_revisions()}
    return "old" if revision is None or revision in known else "new"


@contextmanager
def connected(database: Database) -> Iterator[Connection]:
    """One transaction that nobody else upgrades in, committed at the end."""
    with database.engine.connect() as connection:
        if database.is_sqlite:
            # Rebuilding a table, the only way to alter one here, would otherwise delete what refers to it.
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        try:
            yield connection
            connection.commit()
        finally:
            connection.rollback()
            if database.is_sqlite:
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")
