"""What holds for every request, before any route sees it."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.http.body_rate import Pace, TooSlow
from shared.queue.service_settings import ServiceSettings

NOTHING = "default-src 'none'; frame-ancestors 'none'"


class BodyLimit:
    """Bodies are short and come in time, except where files come in: those routes count for themselves.

    Whoever is answered before the body was read to its end is hung up on, or an endless one would be read for ever.

    Args:
        settings: ``max_request_bytes``, and what :class:`~services.api.http.body_rate.Pace` takes.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._settings = settings
        self._most = settings.max_request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        unlimited = takes_files(scope)
        came = 0
        more = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        answered = False
        pace = Pace(self._settings)

        async def counted() -> Message:
            nonlocal came, more
            if unlimited or answered or not more:
                # Behind the body there is only the end of the connection to wait for.
                message = await receive()
            else:
                try:
                    message = await pace.next(receive(), lambda piece: len(piece.get("body", b"")))
                except TooSlow as error:
                    raise HTTPException(408, "The request's body did not come in time.") from error
            more = message.get("more_body", False)
            came += len(message.get("body", b""))
            if came > self._most and not unlimited:
                raise HTTPException(413, f"The body is larger than {self._most} bytes.")
            return message

        async def closing(message: Message) -> None:
            nonlocal answered
            answered = True
            if message["type"] == "http.response.start" and more:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, counted, closing)


def takes_files(scope: Scope) -> bool:
    path = scope["path"]
    if path.startswith("/v1/uploads"):
        return True
    return path == "/v1/jobs" and Headers(scope=scope).get("content-type", "").lower().startswith("multipart/form-data")


class SafeHeaders:
    """Nothing is guessed, framed or run by a browser unless a route says otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Content-Security-Policy", NOTHING)
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, safe)
