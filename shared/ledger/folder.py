"""The ledger of an output folder: a SQLite file with the same tables as the services' database."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from shared.core.errors import CounterdubError, StorageError
from shared.core.storage_errors import full, storage_error, storage_errors
from shared.ledger import first_folder
from shared.ledger.database import Database, sqlite_code
from shared.ledger.migrate import upgrade_database


def open_folder_ledger(path: Path) -> Database:
    """Open an output folder's ledger; one of an earlier version is brought to today's tables, a missing one is made.

    The folder must be locked: nobody else works on it.

    Raises:
        StorageError: ``disk_full``, ``not_writable``, ``locked``, ``bad_state``, ``io_error``, or ``schema_new`` for a
            folder of a newer version.
    """
    with storage_errors("the state database"):
        path.parent.mkdir(parents=True, exist_ok=True)

    def refusal(error: DBAPIError) -> CounterdubError | None:
        return refused(path, sqlite_code(error))

    def connect(file: Path) -> Database:
        return Database(URL.create("sqlite", database=str(file)), refusal)

    database = connect(path)
    try:
        with database.translated():
            tables = set(inspect(database.engine).get_table_names())
            if first_folder.is_first(tables):
                database.close()
                with storage_errors("the state database"):
                    first_folder.convert(path, connect)
                database = connect(path)
            upgrade_database(database)
    except sqlite3.DatabaseError as error:  # Of the first version's file, read without SQLAlchemy.
        database.close()
        met = refused(path, getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if met is None:
            raise
        raise met from error
    except BaseException:
        database.close()
        raise
    return database


def refused(path: Path, code: int | None) -> CounterdubError | None:
    """SQLite's refusal, by its primary code, as an error that says what to do."""
    what = "the state database"
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and full(path.parent)):
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
            f"The state database {path.parent.name}/{path.name} is damaged. Delete it and run the same "
            "command again: finished work is found in the store, edited lines are not.",
            code="bad_state",
        )
    return storage_error(OSError(errno.EIO, os.strerror(errno.EIO)), what) if code == sqlite3.SQLITE_IOERR else None
