"""A small HTTP server that speaks OpenAI's chat protocol and answers what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


def completion(content: Any, reason: str = "stop") -> Reply:
    """A completion that says ``content`` (JSON unless it is text)."""
    text = content if isinstance(content, str) else json.dumps(content)
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text}}
    return 200, {}, json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


def says(*texts: str) -> Reply:
    return completion({"translations": list(texts)})


class Endpoint:
    """``answer(request)`` → reply; requests and their headers are kept."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Reply] = lambda request: says("…")
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def asked(self, place: int = -1) -> dict[str, Any]:
        """The question of a request."""
        return json.loads(self.requests[place]["messages"][-1]["content"])

    def take(self, path: str, headers: dict[str, str], request: dict[str, Any]) -> Reply:
        with self._lock:
            self.paths.append(path)
            self.headers.append(headers)
            self.requests.append(request)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return self.answer(request)
        finally:
            with self._lock:
                self._now -= 1


@contextmanager
def serving() -> Iterator[tuple[Endpoint, str]]:
    """The endpoint and its base URL."""
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, headers, answer = endpoint.take(self.path, dict(self.headers), json.loads(body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint, f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
