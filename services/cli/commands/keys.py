"""``counterdub keys``: who may call the REST interface."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.commands.db import opened
from services.cli.commands.options import Data, Json
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import console, say_json

app = typer.Typer(help="Create, list and revoke the API keys of a server, on its machine.", no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="For whom or what it is.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="jobs:read, jobs:write or admin; the first two when none is named.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=0, help="Of a submission.")] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0, help="Of video.")] = None,
    max_open_jobs: Annotated[int | None, typer.Option(min=0, help="Jobs at a time.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    with with_extra("api", json):
        from services.api.auth.keys import Limits, create_key

        limits = Limits(max_bytes, max_minutes, max_open_jobs)
        key_id, secret = create_key(opened(data), name, scope or ["jobs:read", "jobs:write"], limits)
        if json:
            say_json({"id": key_id, "key": secret})
        else:
            console.print(f"id   {key_id}\nkey  {secret}", highlight=False, soft_wrap=True)


@app.command("list")
def list_(data: Data = None, json: Json = False) -> None:
    """List all keys, without what is secret about them."""
    with with_extra("api", json):
        from rich.table import Table

        from services.api.auth.keys import list_keys

        shown = ("id", "name", "scopes", "max_bytes", "max_minutes", "max_open_jobs")
        rows = [
            {field: getattr(key, field) for field in shown}
            | {field: at.isoformat() if (at := getattr(key, field)) else None for field in ("created", "revoked")}
            for key in list_keys(opened(data))
        ]
        if json:
            say_json({"keys": rows})
            return
        table = Table("id", "name", "scopes", "created", "revoked")
        for row in rows:
            table.add_row(row["id"], row["name"], " ".join(row["scopes"]), row["created"], row["revoked"] or "")
        console.print(table)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As listed.")], data: Data = None, json: Json = False
) -> None:
    """Refuse a key from now on. Its jobs stay."""
    with with_extra("api", json):
        from services.api.auth.keys import revoke_key

        revoke_key(opened(data), key_id)
        say_json({"revoked": key_id}) if json else console.print(f"{key_id} is refused from now on", highlight=False)
