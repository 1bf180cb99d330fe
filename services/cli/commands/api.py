"""``counterdub api``: the REST interface as one process."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from services.cli.terminal.extras import with_extra


def api(
    host: Annotated[str, typer.Option(help="Address to listen on. Others than loopback need API keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    fd: Annotated[int | None, typer.Option(hidden=True, help="Listen on this socket that was opened for us.")] = None,
) -> None:
    """Serve the REST interface. Database, broker and store come from the environment (COUNTERDUB_…)."""
    with with_extra("api", False):
        from services.api.app import create_app
        from services.api.server import create_server
        from services.cli.serve.listen_address import keys_required, listen
        from shared.ledger import migrate
        from shared.ledger.database import Database
        from shared.observability.logging import set_up_logging
        from shared.observability.tracing import set_up_tracing
        from shared.queue.service_settings import service_settings

        set_up_logging("api")
        set_up_tracing("api")
        settings = service_settings()
        needed = keys_required(host, settings)
        listening = socket.socket(fileno=fd) if fd is not None else listen(host, port)
        migrate.check_schema(Database(settings.sqlalchemy_url()))
        create_server(create_app(settings, keys_required=needed), host, port).run(sockets=[listening])
