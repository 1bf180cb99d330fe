"""Uploads in which something breaks: what is told to be here is here, whatever happens in between."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared.core.errors import StorageError
from tests.conftest import ROOT
from tests.integration.api.uploads.sending import DATA, OCTETS, URL, created, offset, parts, row, sent, stored
from tests.integration.security.installation import Installation, install, problem


def test_two_requests_at_once(api: Installation, caller: TestClient) -> None:
    place = created(caller)
    sent(caller, place, 0, DATA[:1000])
    (part,) = parts(api)
    with part.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert problem(sent(caller, place, 1000, DATA[1000:]), 423) == "upload_busy"
    assert sent(caller, place, 1000, DATA[1000:]).status_code == 204
    assert stored(api, place) == DATA


def test_several_processes_with_one_folder(api: Installation, caller: TestClient, tmp_path: Path) -> None:
    other = install(tmp_path / "data", max_upload_bytes=10**7)
    second = other.client(caller.headers["authorization"].removeprefix("Bearer "))
    place = created(caller)
    for at, who in ((0, caller), (100_000, second), (200_000, caller)):
        assert offset(second, place) == at
        assert sent(who, place, at, DATA[at : at + 100_000]).status_code == 204
    assert stored(other, place) == DATA
    other.close()


def test_bytes_that_were_never_counted_are_cut_off(api: Installation, caller: TestClient) -> None:
    """As a killed process leaves them."""
    place = created(caller)
    sent(caller, place, 0, DATA[:1000])
    (part,) = parts(api)
    with part.open("ab") as file:
        file.write(b"rubbish" * 1000)
    assert offset(caller, place) == 1000
    assert sent(caller, place, 1000, DATA[1000:]).status_code == 204
    assert stored(api, place) == DATA


def test_bytes_that_the_disk_has_lost_are_asked_for_again(api: Installation, caller: TestClient) -> None:
    place = created(caller)
    sent(caller, place, 0, DATA[:100_000])
    (part,) = parts(api)
    os.truncate(part, 50_000)
    assert offset(caller, place) == 50_000
    assert problem(sent(caller, place, 100_000, DATA[100_000:]), 409) == "wrong_offset"
    assert sent(caller, place, 50_000, DATA[50_000:]).status_code == 204
    assert stored(api, place) == DATA


def test_killed_between_the_last_byte_and_the_store(
    api: Installation, caller: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = created(caller)

    def killed(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("services.api.routes.uploads.finish", killed)
        assert sent(caller, place, 0, DATA).status_code == 500
    assert row(api, place).blob is None
    assert offset(caller, place) == len(DATA), "asking for the offset ends what was left undone"
    assert stored(api, place) == DATA


def test_a_database_away_at_the_last_step_loses_no_byte(
    api: Installation, caller: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = created(caller)
    real = api.here.database.write

    def away() -> Any:
        if row(api, place).offset == len(DATA):  # All bytes are counted: what is left is to finish.
            raise StorageError("away", code="database_away", retryable=True)
        return real()

    with monkeypatch.context() as patch:
        patch.setattr(type(api.here.database), "write", lambda _self: away())
        assert sent(caller, place, 0, DATA).status_code == 503
    assert offset(caller, place) == len(DATA)
    assert stored(api, place) == DATA


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError()], ids=["full", "killed"])
def test_booked_and_not_yet_in_the_store(
    api: Installation, caller: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    place = created(caller)

    def fails(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(type(api.here.store), "add", fails)
        assert sent(caller, place, 0, DATA).status_code in (500, 507)
    assert offset(caller, place) == len(DATA)
    body = {"sources": [{"upload": place.rpartition("/")[2]}], "languages": ["es"]}
    assert caller.post("/v1/jobs", json=body).status_code == 202
    assert stored(api, place) == DATA and not parts(api)


def test_store_on_another_file_system(
    api: Installation, caller: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = Path("/dev/shm") / f"counterdub-{os.getpid()}"
    if not os.access("/dev/shm", os.W_OK) or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    folder.mkdir()
    other = install(tmp_path / "other", upload_folder=folder)
    try:
        who = other.caller()
        place = created(who)
        sent(who, place, 0, DATA)
        assert stored(other, place) == DATA
        assert not parts(other)
    finally:
        other.close()
        for left in folder.glob("*"):
            left.unlink()
        folder.rmdir()


def test_full_disk_is_507_and_what_came_before_is_kept(
    api: Installation, caller: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = created(caller)
    sent(caller, place, 0, DATA[:1000])

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        assert problem(sent(caller, place, 1000, DATA[1000:]), 507) == "disk_full"
    assert offset(caller, place) == 1000
    assert sent(caller, place, 1000, DATA[1000:]).status_code == 204
    assert stored(api, place) == DATA


SERVE = """
import sys
from services.api.app import create_app
from services.api.server import create_server
from shared.queue.service_settings import ServiceSettings
app = create_app(ServiceSettings(stall_timeout_s=3.0), keys_required=False)
create_server(app, "127.0.0.1", int(sys.argv[1])).run()
"""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[bytes], int]]]:
    """Starts the API in a process of its own, on the same folder and port every time."""
    install(tmp_path, keys_required=False).close()
    running: list[subprocess.Popen[bytes]] = []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def start() -> tuple[subprocess.Popen[bytes], int]:
        environment = {**os.environ, "COUNTERDUB_DATA": str(tmp_path), "COUNTERDUB_BROKER_URL": "redis://127.0.0.1:1/0"}
        process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], cwd=ROOT, env=environment)
        running.append(process)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return process, port
            time.sleep(0.05)
        raise AssertionError("the API did not start")

    yield start
    for process in running:
        process.kill()
        process.wait()


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body or None, {**OCTETS, **(headers or {})})
    response = connection.getresponse()
    response.read()
    return response


def half_sent(port: int, place: str, total: int, data: bytes) -> socket.socket:
    """A PATCH whose body stops in the middle, its connection open."""
    connection = socket.create_connection(("127.0.0.1", port), 30)
    head = "".join(f"{name}: {value}\r\n" for name, value in {**OCTETS, "Upload-Offset": "0"}.items())
    connection.sendall(f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {total}\r\n\r\n".encode())
    connection.sendall(data)
    return connection


def reached(port: int, place: str) -> tuple[int, int]:
    response = ask(port, "HEAD", place)
    return response.status, int(response.headers.get("Upload-Offset") or -1)


def test_api_killed_during_an_upload(serve: Callable[[], tuple[subprocess.Popen[bytes], int]], tmp_path: Path) -> None:
    """After the restart the offset is what is really on the disk, and the finished file is the one that was sent."""
    data = os.urandom(50 * 2**20)
    process, port = serve()
    place = ask(port, "POST", URL, headers={"Upload-Length": str(len(data)), "Content-Type": ""}).headers["Location"]
    half_sent(port, place, len(data), data[: 45 * 2**20])
    part = tmp_path / "uploads" / f"{place.rpartition('/')[2]}.part"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (not part.exists() or part.stat().st_size < 40 * 2**20):
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert part.stat().st_size >= 40 * 2**20
    _, port = serve()
    status, at = reached(port, place)
    assert status == 200 and 32 * 2**20 <= at <= part.stat().st_size
    assert ask(port, "PATCH", place, data[at:], {"Upload-Offset": str(at)}).status == 204
    assert reached(port, place) == (200, len(data))
    blobs = [path for path in (tmp_path / "store" / "blobs").rglob("*") if path.is_file()]
    assert [path.read_bytes() == data for path in blobs] == [True]


def test_connection_that_breaks_keeps_what_came(
    serve: Callable[[], tuple[subprocess.Popen[bytes], int]], tmp_path: Path
) -> None:
    _, port = serve()
    place = ask(port, "POST", URL, headers={"Upload-Length": str(len(DATA)), "Content-Type": ""}).headers["Location"]
    connection = half_sent(port, place, len(DATA), DATA[:100_000])
    time.sleep(0.3)
    assert reached(port, place) == (200, 0), "not safe yet, so not told"
    connection.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and reached(port, place)[1] < 100_000:
        time.sleep(0.05)
    assert reached(port, place) == (200, 100_000)
    assert ask(port, "PATCH", place, DATA[100_000:], {"Upload-Offset": "100000"}).status == 204
    assert reached(port, place) == (200, len(DATA))


def test_body_that_stands_still_gives_its_place_free(
    serve: Callable[[], tuple[subprocess.Popen[bytes], int]], tmp_path: Path
) -> None:
    _, port = serve()
    place = ask(port, "POST", URL, headers={"Upload-Length": str(len(DATA)), "Content-Type": ""}).headers["Location"]
    connection = half_sent(port, place, len(DATA), DATA[:1000])
    assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
    assert reached(port, place) == (200, 1000)


def test_endless_body_over_a_real_connection(
    serve: Callable[[], tuple[subprocess.Popen[bytes], int]], tmp_path: Path
) -> None:
    """The server answers and closes; it does not read on for as long as somebody sends."""
    _, port = serve()
    place = ask(port, "POST", URL, headers={"Upload-Length": str(2**20), "Content-Type": ""}).headers["Location"]
    connection = socket.create_connection(("127.0.0.1", port), 10)
    head = "".join(f"{name}: {value}\r\n" for name, value in {**OCTETS, "Upload-Offset": "0"}.items())
    connection.sendall(
        f"PATCH {place} HTTP/1.1\r\nHost: localhost\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    sent_bytes = 0
    with contextlib.suppress(OSError):
        while sent_bytes < 200 * 2**20:
            connection.sendall(b"10000\r\n" + bytes(2**16) + b"\r\n")
            sent_bytes += 2**16
    assert sent_bytes < 100 * 2**20
    assert reached(port, place) == (200, 0)
