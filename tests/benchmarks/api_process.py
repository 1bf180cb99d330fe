"""The API, or an application with one empty route, as a process of its own: what the API is measured against.

python -m tests.benchmarks.api_process api|empty    (settings: COUNTERDUB_…); prints its address
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from fastapi import FastAPI


def empty() -> FastAPI:
    """As little as FastAPI can do, in a thread as ours."""
    app = FastAPI()

    @app.get("/empty")
    def nothing() -> dict[str, str]:
        return {}

    return app


def main(which: str) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    if which == "empty":
        uvicorn.Server(uvicorn.Config(empty(), access_log=False, log_level="warning")).run(sockets=[listening])
        return
    from services.api.app import create_app
    from services.api.server import create_server
    from shared.queue.service_settings import ServiceSettings

    create_server(create_app(ServiceSettings(), keys_required=True), "127.0.0.1", 0).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
