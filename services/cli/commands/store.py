"""``counterdub store``: what lies in the services' artifact store."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.commands.db import opened
from services.cli.commands.options import Data, Json
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import console, say_json

app = typer.Typer(help="Look after the services' artifact store.", no_args_is_help=True)


@app.command("sweep")
def sweep(
    data: Data = None,
    older_than: Annotated[float, typer.Option(min=1.0, help="Hours since a file was last used.")] = 24.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Remove files that no job, upload or training refers to: of deleted jobs above all. Services may go on."""
    with with_extra("queue", json):
        from shared.queue.scheduling import store_sweep
        from shared.queue.service_settings import ServiceSettings

        database = opened(data)
        try:
            settings = ServiceSettings(data=data) if data else ServiceSettings()
            files, size = store_sweep.sweep(database, settings.open_store(), older_than * 3600, dry_run)
        finally:
            database.close()
        freed = {"files": files, "bytes": size, "removed": not dry_run}
        verb = "would go" if dry_run else "removed"
        say_json(freed) if json else console.print(f"{files} files, {size / 1e6:.1f} MB {verb}")
