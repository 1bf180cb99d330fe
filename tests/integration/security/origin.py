"""A web server on loopback that says exactly what a test wants, and an internet in which names lead to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

PUBLIC = "93.184.215.14"
"""An address of the public internet; a connection to it ends at the origin."""

Answer = Callable[[socket.socket, str], None]
"""Writes to a connection whose request (its head) was read."""


class Origin:
    """Answers each path with its bytes or its function, and remembers what it was asked."""

    def __init__(self, answers: dict[str, bytes | Answer]) -> None:
        self.answers = answers
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [request.split(" ")[1] for request in self.requests]

    def header(self, name: str, request: int = -1) -> str | None:
        lines = (line.partition(": ") for line in self.requests[request].split("\r\n")[1:])
        return next((value for key, _, value in lines if key.lower() == name.lower()), None)

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65536)
                head, _, body = received.partition(b"\r\n\r\n")
                text = head.decode("latin-1")
                wanted = int(next((line[16:] for line in text.lower().split("\r\n") if "content-length: " in line), 0))
                while len(body) < wanted:
                    body += connection.recv(65536)
                self.requests.append(text)
                self.bodies.append(body)
                answer = self.answers.get(text.split(" ")[1].partition("?")[0], respond(404))
                if callable(answer):
                    answer(connection, text)
                else:
                    connection.sendall(answer)
            except OSError:
                return


def respond(status: int, body: bytes = b"", **headers: Any) -> bytes:
    """An answer as it should be, except where the headers lie."""
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {"content-length": len(body), "connection": "close", **own}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


def redirect(to: str, status: int = 302) -> bytes:
    return respond(status, location=to)


@contextmanager
def serving(answers: dict[str, bytes | Answer]) -> Iterator[Origin]:
    origin = Origin(answers)
    try:
        yield origin
    finally:
        origin.close()


class Internet:
    """Names, the addresses they lead to (one list a look-up, the last one for ever), and the connections made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[Sequence[str]]] = {}
        self.lookups: list[str] = []
        self.connections: list[str] = []
        self.origin: Origin | None = None
        look_up, connect = socket.getaddrinfo, socket.socket.connect

        def getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if name not in self.names:
                return look_up(host, port, *more, **named)
            self.lookups.append(name)
            answers = self.names[name]
            addresses = answers.pop(0) if len(answers) > 1 else answers[0]
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            return [entry for address in addresses for entry in look_up(address, port, type=socket.SOCK_STREAM)]

        def connected(own: socket.socket, address: Any) -> Any:
            if own.family in (socket.AF_INET, socket.AF_INET6):
                self.connections.append(address[0])
                if address[0] == PUBLIC and self.origin is not None:
                    address = ("127.0.0.1", self.origin.port)
            return connect(own, address)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(socket.socket, "connect", connected)
