"""A way to a server that breaks, as real ones do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BLOCK = 2**14


class Flaky:
    """Passes connections on to a server and cuts the first ones off.

    Attributes:
        up: Cut after so many bytes to the server, one entry a connection; then no more.
        down: Likewise from the server.
        refuse: So many connections are closed at once.
    """

    def __init__(self, port: int) -> None:
        self.up: list[int] = []
        self.down: list[int] = []
        self.refuse = 0
        self.cut = 0
        self.connections = 0
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuse:
                self.refuse -= 1
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            up = self.up.pop(0) if self.up else None
            down = self.down.pop(0) if self.down else None
            for source, target, limit in ((client, server, up), (server, client, down)):
                threading.Thread(target=self._pump, args=(source, target, limit), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(BLOCK if limit is None else min(BLOCK, max(1, limit - passed))):
                target.sendall(data)
                passed += len(data)
                if limit is not None and passed >= limit:
                    self.cut += 1
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()


@contextmanager
def flaky(port: int) -> Iterator[Flaky]:
    way = Flaky(port)
    yield way
    way.close()
