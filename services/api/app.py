"""The REST interface as one ASGI application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool

from services.api import web_page
from services.api.dependencies import Services
from services.api.http import problems
from services.api.http.idempotency import forget_old
from services.api.http.middleware import BodyLimit, SafeHeaders
from services.api.http.ranges import BlobFiles
from services.api.live.broadcast import Broadcast
from services.api.metrics import Scrape
from services.api.routes import (
    activity,
    archive,
    artifacts,
    catalog,
    dataset,
    events,
    health,
    jobs,
    session,
    sound,
    training_results,
    trainings,
    uploads,
    utterances,
    versions,
    voices,
)
from services.api.schemas.jobs import EventPage, NewJob
from services.api.schemas.trainings import MetricsPage
from services.api.webhooks import deliverer
from services.api.write_probe import WriteProbe
from shared.core.errors import StorageError
from shared.ledger.database import Database
from shared.queue.service_settings import ServiceSettings

TIDY_S = 600.0
ABOUT = """Dubs of videos as counterfactual pairs: the picture and the background stay, the speech changes.

Errors are problem details (RFC 9457) with a stable `code`. Lists come in pages: pass `next` as `cursor`."""

log = logging.getLogger(__name__)


def create_app(settings: ServiceSettings, *, keys_required: bool) -> FastAPI:
    """The application of one process.

    Args:
        keys_required: Whether callers need an API key; without, everybody who reaches it may do everything.
    """
    database = Database(settings.sqlalchemy_url())
    app = FastAPI(
        title="Counterdub",
        version=version("counterdub"),
        description=ABOUT,
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        # The pages would load their scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # What a trailing slash leads to is no other address here.
        redirect_slashes=False,
    )
    app.state.services = Services(
        settings=settings,
        keys_required=keys_required,
        database=database,
        store=settings.open_store(),
        files=BlobFiles(settings.store()),
        broadcast=Broadcast(database),
        metrics=Scrape(database),
        probe=WriteProbe(database),
        waking=ThreadPoolExecutor(2, "wake"),
    )
    problems.install(app)
    for module in (
        jobs,
        activity,
        events,
        artifacts,
        archive,
        sound,
        dataset,
        utterances,
        versions,
        voices,
        uploads,
        catalog,
    ):
        app.include_router(module.router, prefix="/v1")
    app.include_router(session.router, prefix="/v1")
    app.include_router(trainings.router, prefix="/v1")
    app.include_router(training_results.router, prefix="/v1")
    app.include_router(health.router)
    app.include_router(web_page.router)
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(SafeHeaders)
    app.openapi = lambda: described(app)  # type: ignore[method-assign]  # as FastAPI's documentation says
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Webhooks and tidying run beside the requests."""
    # Anew each time: a stopped pool of threads takes nothing, and an application may be started again.
    here: Services = replace(app.state.services, waking=ThreadPoolExecutor(2, "wake"))
    app.state.services = here
    beside = [
        asyncio.create_task(deliverer(here.database, here.settings)),
        asyncio.create_task(tidy(here)),
    ]
    yield
    for task in beside:
        task.cancel()
    for task in beside:
        with suppress(asyncio.CancelledError):
            await task
    await here.broadcast.stop()
    await run_in_threadpool(here.waking.shutdown)
    here.database.close()


async def tidy(here: Services) -> None:
    """Drop what nobody asks for any more."""
    while True:
        try:
            await run_in_threadpool(forget_old, here.database)
            await run_in_threadpool(uploads.sweep_uploads, here.database, here.settings)
        except StorageError as error:
            log.warning("tidying is put off: %s", error.code)
        await asyncio.sleep(TIDY_S)


def described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI: what FastAPI finds, with our errors in place of its own, and what is read or written by hand."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    parts = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        parts.pop(name, None)
    for model in (problems.Problem, NewJob, EventPage, MetricsPage):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        parts.update(schema.pop("$defs", {}))
        parts[model.__name__] = schema
    unreadable = problems.documented(422)[422]
    for path in document["paths"].values():
        for operation in path.values():
            answers = operation.get("responses", {})
            if "HTTPValidationError" in str(answers.get("422", "")):
                answers["422"] = unreadable
    app.openapi_schema = document
    return document
