"""``counterdub db``: the form of the services' database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from services.cli.commands.options import Data, Json
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import console, say_json

if TYPE_CHECKING:
    from shared.ledger.database import Database

app = typer.Typer(help="Bring the services' database up to date, or check that it is.", no_args_is_help=True)


@app.command("upgrade")
def upgrade(data: Data = None, json: Json = False) -> None:
    """Create the tables, or bring those of an older version up to date. Does nothing when they are."""
    with with_extra("queue", json):
        from shared.ledger import migrate

        migrate.upgrade(database_url(data))
        say_json({"database": "current"}) if json else console.print("the database is up to date")


@app.command("check")
def check(data: Data = None, json: Json = False) -> None:
    """Tell whether the database fits this version; exit code 3 if not."""
    with with_extra("queue", json):
        opened(data).close()
        say_json({"database": "current"}) if json else console.print("the database is up to date")


def database_url(data: Path | None) -> str:
    from shared.queue.service_settings import ServiceSettings

    return (ServiceSettings(data=data) if data else ServiceSettings()).sqlalchemy_url()


def opened(data: Path | None) -> Database:
    """The services' database, its form checked.

    Raises:
        StorageError: ``schema_old``, ``schema_new``, ``database_away``.
    """
    from shared.ledger import migrate
    from shared.ledger.database import Database

    database = Database(database_url(data))
    migrate.check_schema(database)
    return database
