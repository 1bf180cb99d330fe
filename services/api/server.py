"""Serve the API until told to stop."""

from __future__ import annotations

import asyncio
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from services.api.dependencies import Services
from services.api.http.connections import protocol_for

GRACE_S = 20
"""Requests may finish for so long."""


class ApiServer(uvicorn.Server):
    """uvicorn waits for its connections before it stops, and event streams would never end by themselves."""

    def __init__(self, config: uvicorn.Config, here: Services) -> None:
        super().__init__(config)
        self._here = here
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, *args: Any, **kwargs: Any) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(*args, **kwargs)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._here.broadcast.end_all)


def create_server(app: FastAPI, host: str, port: int, **options: Any) -> ApiServer:
    """A server for :func:`services.api.app.create_app`; ``await server.serve()`` or ``server.run()``.

    Args:
        options: Further settings of ``uvicorn.Config``.
    """
    here: Services = app.state.services
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        # Of WebSockets there are none, and a library for them that happens to be there would take connections over.
        ws="none",
        http=protocol_for(here.settings),  # type: ignore[arg-type]  # asked for is a class, and only called
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        access_log=False,
        log_config=None,
        **options,
    )
    return ApiServer(config, here)
