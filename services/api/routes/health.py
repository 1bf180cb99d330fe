"""For whoever runs the service: is it alive, can it work, what is it doing."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from sqlalchemy import text
from starlette.responses import Response

from services.api.auth.keys import Caller, requires
from services.api.dependencies import Here, Services
from services.api.http.problems import documented
from services.api.schemas.jobs import Health
from shared.core.errors import CounterdubError

ANSWER_S = 2.0

router = APIRouter(tags=["service"])
log = logging.getLogger(__name__)


@router.get("/healthz", operation_id="get_health", summary="Alive")
async def get_health() -> Health:
    """The process answers. Nothing else is looked at: a restart would not bring back a database."""
    return Health(status="ok")


@router.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Ready: database, broker and store answer",
    response_model=Health,
    responses={503: {"description": "One of them does not.", "model": Health}},
)
def get_readiness(here: Here) -> Response:
    """Jobs are taken even while the broker is away; nothing works on them until it is back."""
    checks = {
        "database": check_answer(database, here),
        "broker": check_answer(broker, here),
        "store": check_answer(store, here),
    }
    ready = all(check == "ok" for check in checks.values())
    body = Health(status="ok" if ready else "not ready", checks=checks)
    return JSONResponse(body.model_dump(), 200 if ready else 503)


def check_answer(check: Any, here: Services) -> str:
    """``ok``, or in few words what is wrong: addresses may hold passwords, so nothing of the error is shown."""
    try:
        check(here)
    except CounterdubError as error:
        return error.code
    except Exception as error:
        log.warning("the %s does not answer: %s", check.__name__, type(error).__name__)
        return "does not answer"
    return "ok"


def database(here: Services) -> None:
    """It can be read and, as looked at every few seconds, written to."""
    with here.database.read() as session:
        session.execute(text("SELECT 1"))
    here.probe.check()


def broker(here: Services) -> None:
    import redis

    url = here.settings.broker_url.get_secret_value()
    with redis.Redis.from_url(url, socket_connect_timeout=ANSWER_S, socket_timeout=ANSWER_S) as connection:
        connection.ping()


def store(here: Services) -> None:
    here.files.check()


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **documented(401, 403, 503),
    },
)
def get_metrics(here: Here, caller: Annotated[Caller, Depends(requires("admin"))]) -> Response:
    """From the database, so any process of the service says the same. Counted at most every few seconds."""
    return Response(here.metrics.text(), media_type="text/plain; version=0.0.4")
