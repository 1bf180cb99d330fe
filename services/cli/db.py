"""``counterdub db``: the form of the services' database."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.output import console, reported, say_json

app = typer.Typer(help="Bring the services' database up to date, or check that it is.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command("upgrade")
def upgrade(json: Json = False) -> None:
    """Create the tables, or bring those of an older version up to date. Does nothing when they are."""
    with reported(json):
        from shared.jobs import schema
        from shared.jobs.settings import service_settings

        schema.upgrade(service_settings().sqlalchemy_url())
        say_json({"database": "current"}) if json else console.print("the database is up to date")


@app.command("check")
def check(json: Json = False) -> None:
    """Tell whether the database fits this version; exit code 3 if not."""
    with reported(json):
        from shared.jobs import schema
        from shared.jobs.database import Database
        from shared.jobs.settings import service_settings

        schema.check(Database(service_settings().sqlalchemy_url()))
        say_json({"database": "current"}) if json else console.print("the database is up to date")
