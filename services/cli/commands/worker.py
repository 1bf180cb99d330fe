"""``counterdub worker``: a process that does the work of some stages."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import FAILED


def worker(
    queues: Annotated[
        str, typer.Option(help="What to work on: ingest, separation, transcription, translation, dubbing, pairing, …")
    ] = "",
    concurrency: Annotated[int, typer.Option(min=1, help="Tasks at a time; each holds its own models.")] = 1,
    check: Annotated[bool, typer.Option("--check", help="Only say whether this machine's worker is alive.")] = False,
) -> None:
    """Work on the tasks of these queues until told to stop. The rest comes from the environment (COUNTERDUB_…)."""
    with with_extra("queue", False):
        from shared.core.errors import UsageError
        from shared.queue.service_settings import CARD_QUEUES, FETCH, QUEUES, service_settings

        settings = service_settings()
        if check:
            from shared.queue.worker.supervisor import check_worker

            raise typer.Exit(0 if check_worker(settings) else FAILED)
        names = [name.strip() for name in queues.split(",") if name.strip()]
        known = (*QUEUES, *CARD_QUEUES, FETCH)
        unknown = sorted(set(names) - set(known))
        if unknown or not names:
            raise UsageError(
                f"No such queue: {', '.join(unknown) or '(none named)'}. There are: {', '.join(known)}.",
                code="unknown_queue",
            )
        from shared.ledger import migrate
        from shared.ledger.database import Database
        from shared.observability.logging import set_up_logging
        from shared.queue.worker.supervisor import run_worker

        set_up_logging("worker")
        migrate.check_schema(Database(settings.sqlalchemy_url()))
        run_worker(names, concurrency, settings)
