"""What every request may use of the process: settings, database, store."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from services.api.http.ranges import BlobFiles
from services.api.live.broadcast import Broadcast
from services.api.write_probe import WriteProbe
from shared.core.store import Store
from shared.ledger.database import Database
from shared.queue.celery_app import wake
from shared.queue.job_commands import Wakes
from shared.queue.service_settings import ServiceSettings

if TYPE_CHECKING:
    from services.api.metrics import Scrape


@dataclass(frozen=True)
class Services:
    """Opened once a process; kept in ``app.state.services``."""

    settings: ServiceSettings
    keys_required: bool
    database: Database
    store: Store
    files: BlobFiles
    broadcast: Broadcast
    metrics: Scrape
    probe: WriteProbe
    waking: Executor

    def wake(self, wakes: Wakes) -> None:
        """Tell the workers that there is something to do; nobody waits for a broker that is away."""
        if any(wakes.values()):
            self.waking.submit(wake, self.settings.broker_url.get_secret_value(), wakes)


async def services(connection: HTTPConnection) -> Services:
    """The dependency behind :data:`Here`. Asynchronous, since otherwise a thread would be asked for it."""
    services: Services = connection.app.state.services
    return services


Here = Annotated[Services, Depends(services)]
