"""A client that is slow, whatever it is slow at, is closed after its limit, and holds nobody else up meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
import soundfile as sf

from services.api.live import broadcast
from shared.ledger import migrate
from shared.queue.service_settings import ServiceSettings
from tests.conftest import ROOT
from tests.integration.api.harness import Api, make_api, serving

HOST = "Host: localhost\r\n"
LIMIT_S = 0.6
LATEST_S = 5.0
"""On a busy machine."""
SHORT: dict[str, Any] = {"header_timeout_s": LIMIT_S, "stall_timeout_s": LIMIT_S}


def connect(url: str, said: str) -> socket.socket:
    """A connection of a client that takes next to nothing, and what it says at first."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    parts = urlsplit(url)
    connection.connect((parts.hostname, parts.port))
    connection.sendall(said.encode())
    return connection


def hung_up(connection: socket.socket) -> tuple[float, bytes]:
    """Seconds until the server closes, and what it said until then."""
    began, said = time.monotonic(), b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            said += data
    return time.monotonic() - began, said


def body_of(said: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(said.partition(b"\r\n\r\n")[2])
    return found


def post(size: int, path: str = "/v1/jobs", kind: str = "application/json") -> str:
    return f"POST {path} HTTP/1.1\r\n{HOST}Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"


def with_file(api: Api, folder: Path, seconds: int = 60) -> str:
    """Address of a file of a job that is larger than what systems keep between two ends."""
    job = api.job()
    noise = np.random.default_rng(0).normal(0, 0.1, (48_000 * seconds, 2)).astype(np.float32)
    sf.write(folder / "es.flac", noise, 48_000, subtype="PCM_24")
    api.publish(job, {"clip/tracks/es.flac": folder / "es.flac"})
    return f"/v1/jobs/{job}/files/clip/tracks/es.flac"


@pytest.mark.parametrize("half", ["GET /v1/jobs HTTP/1.1\r\nHost: loc", "GE"])
def test_half_a_head_is_answered_and_closed(tmp_path: Path, half: str) -> None:
    with serving(make_api(tmp_path, **SHORT)) as url:
        seconds, said = hung_up(connect(url, half))
    assert LIMIT_S <= seconds < LATEST_S
    assert said.startswith(b"HTTP/1.1 408 ") and body_of(said)["code"] == "request_timeout"


def test_a_head_that_trickles_is_closed_too_and_one_that_never_begins(tmp_path: Path) -> None:
    with serving(make_api(tmp_path, **SHORT)) as url:
        silent, trickling = connect(url, ""), connect(url, "GET /healthz HTTP/1.1\r\n")
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for number in range(100):
                trickling.sendall(f"X-{number}: 1\r\n".encode())
                time.sleep(0.05)
        assert LIMIT_S <= time.monotonic() - began < LATEST_S
        assert hung_up(silent)[1] == b""


def test_the_second_head_on_a_connection_has_a_limit_as_the_first(tmp_path: Path) -> None:
    with serving(make_api(tmp_path, **SHORT)) as url:
        connection = connect(url, f"GET /healthz HTTP/1.1\r\n{HOST}\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        seconds, said = hung_up(connection)
    assert seconds < LATEST_S and b"HTTP/1.1 408 " in said


def test_a_slow_body_is_answered_and_closed(tmp_path: Path) -> None:
    with serving(make_api(tmp_path, **SHORT)) as url:
        seconds, said = hung_up(connect(url, post(1000) + "{"))
    assert seconds < LATEST_S
    assert said.startswith(b"HTTP/1.1 408 ") and body_of(said)["code"] == "request_timeout"


FORM = '--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "begun"), [("application/json", "{"), ("multipart/form-data; boundary=x", FORM)], ids=["json", "form"]
)
def test_a_body_that_trickles_is_given_up_though_it_never_stands_still(tmp_path: Path, kind: str, begun: str) -> None:
    with serving(make_api(tmp_path, min_bytes_per_s=1000, **SHORT)) as url:
        connection = connect(url, post(10_000, kind=kind) + begun)
        connection.settimeout(0.05)
        began, said = time.monotonic(), b""
        while not said and time.monotonic() - began < 20:
            connection.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                said = connection.recv(4096)
    assert said.startswith(b"HTTP/1.1 408 ") and time.monotonic() - began < 5


def test_a_large_body_at_the_rate_may_take_longer_than_the_limit(tmp_path: Path) -> None:
    with serving(make_api(tmp_path, min_bytes_per_s=1000, **SHORT)) as url:
        whole = (
            FORM.encode()
            + bytes(12_000)
            + b'\r\n--x\r\nContent-Disposition: form-data; name="languages"\r\n\r\nes\r\n--x--\r\n'
        )
        connection = connect(url, post(len(whole), kind="multipart/form-data; boundary=x"))
        began = time.monotonic()
        for at in range(0, len(whole), 500):
            connection.sendall(whole[at : at + 500])
            time.sleep(0.1)
        assert time.monotonic() - began > 3 * LIMIT_S
        assert connection.recv(4096).startswith(b"HTTP/1.1 202 ")


def test_a_download_that_is_not_taken_is_closed(tmp_path: Path) -> None:
    api = make_api(tmp_path, **SHORT)
    path = with_file(api, tmp_path)
    with serving(api) as url:
        connection = connect(url, f"GET {path} HTTP/1.1\r\n{HOST}\r\n")
        server = server_side(url)
        deadline = time.monotonic() + 10
        while not server() and time.monotonic() < deadline:  # It was connected before it is accepted.
            time.sleep(0.01)
        while server() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server()
        connection.close()


def server_side(url: str) -> Callable[[], int]:
    """How many connections this process's server holds."""
    port = urlsplit(url).port

    def count() -> int:
        found = psutil.Process().net_connections("tcp")
        return sum(one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in found)

    return count


def test_a_download_that_is_taken_slowly_comes_whole(tmp_path: Path) -> None:
    api = make_api(tmp_path, min_bytes_per_s=10_000, **SHORT)
    path = with_file(api, tmp_path, 20)
    with serving(api) as url, httpx.stream("GET", url + path) as answer:
        came = 0
        began = time.monotonic()
        for block in answer.iter_raw(2**18):
            came += len(block)
            time.sleep(0.1)
    assert time.monotonic() - began > 2 * LIMIT_S
    assert came == int(answer.headers["content-length"])


def test_what_waits_to_be_taken_is_bounded(tmp_path: Path) -> None:
    """Whoever took nothing for longest is let go first."""
    api = make_api(tmp_path, max_unsent_bytes=1_000_000)
    path = with_file(api, tmp_path)
    request = f"GET {path} HTTP/1.1\r\n{HOST}\r\n"
    with serving(api) as url:
        held = [connect(url, request) for _ in range(40)]
        server = server_side(url)
        deadline = time.monotonic() + 20
        while server() < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        while server() == 40 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(3)
        assert 0 < server() < 40
        for connection in held:
            connection.close()


def test_more_connections_than_are_allowed_are_told_so_and_probes_are_answered(tmp_path: Path) -> None:
    with serving(make_api(tmp_path, max_connections=5)) as url:
        held = [connect(url, "GET") for _ in range(5)]
        time.sleep(0.2)
        full = httpx.get(f"{url}/v1/jobs")
        assert (full.status_code, full.json()["code"], full.json()["retryable"]) == (503, "too_many_connections", True)
        assert full.headers["retry-after"] and full.headers["connection"] == "close"
        assert httpx.get(f"{url}/healthz").status_code == 200
        held += [connect(url, "GET") for _ in range(200)]
        said = hung_up(connect(url, ""))[1]
        assert body_of(said)["code"] == "too_many_connections"
        for connection in held:
            connection.close()
        time.sleep(0.3)
        assert httpx.get(f"{url}/v1/jobs").status_code == 200


def test_a_key_has_so_many_streams_and_gets_its_places_back(tmp_path: Path) -> None:
    api = make_api(tmp_path, keys_required=True, max_streams=3)
    mine, other = api.key("jobs:read"), api.key("jobs:read")
    jobs = {key: api.job(key_id) for key_id, key in (mine, other)}

    def stream(key: str, path: str | None = None) -> socket.socket:
        path = path or f"/v1/jobs/{jobs[key]}/events"
        connection = connect(url, f"GET {path} HTTP/1.1\r\n{HOST}Authorization: Bearer {key}\r\n\r\n")
        connection.settimeout(10)
        return connection

    with serving(api) as url:
        held = [stream(mine[1]), stream(mine[1]), stream(mine[1], "/v1/activity")]
        assert all(one.recv(4096).startswith(b"HTTP/1.1 200 ") for one in held)
        for path in (None, "/v1/activity"):
            refused = stream(mine[1], path)
            said = refused.recv(4096)
            assert said.startswith(b"HTTP/1.1 429 "), said
            while not said.endswith(b"}"):
                said += refused.recv(4096)
            assert body_of(said)["code"] == "too_many_streams"
        assert stream(other[1]).recv(4096).startswith(b"HTTP/1.1 200 ")
        held.pop().close()
        deadline = time.monotonic() + 10
        while not (again := stream(mine[1]).recv(4096)).startswith(b"HTTP/1.1 200 "):
            assert time.monotonic() < deadline, again


def test_catching_up_is_read_once_for_all(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[tuple[Any, ...]] = []
    real = broadcast.page

    def page(*asked: Any) -> Any:
        reads.append(asked[1:])
        return real(*asked)

    monkeypatch.setattr(broadcast, "page", page)
    job = api.job()
    api.tell(job, *["task_done"] * 2000)
    with serving(api) as url:
        held = [connect(url, f"GET /v1/jobs/{job}/events HTTP/1.1\r\n{HOST}\r\n") for _ in range(30)]
        for connection in held:
            said = b""
            while b"id: 2001\n" not in said:
                said += connection.recv(65536)
            assert said.count(b"\nid: ") + said.count(b"\r\nid: ") == 2001
            connection.close()
    # 21 pages, the last of which may be asked for again by whoever comes later.
    assert len(reads) <= 21 + 30


def test_idle_streams_ask_nothing_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for their jobs, not for their key: as many queries for forty as for two."""
    from sqlalchemy import event

    from services.api.routes import activity, events

    monkeypatch.setattr(events, "VALID_S", 0.2)
    monkeypatch.setattr(activity, "VALID_S", 0.2)
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.1)
    api = make_api(tmp_path, keys_required=True)
    key_id, key = api.key("jobs:read")
    job = api.job(key_id)
    asked: list[str] = []

    def in_two_seconds(streams: int) -> int:
        for number in range(streams):
            path = "/v1/activity" if number % 2 else f"/v1/jobs/{job}/events"
            held.append(connect(url, f"GET {path} HTTP/1.1\r\n{HOST}Authorization: Bearer {key}\r\n\r\n"))
        time.sleep(1)
        asked.clear()
        time.sleep(2)
        return len(asked)

    event.listen(
        api.database.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement)
    )
    with serving(api) as url:
        held: list[socket.socket] = []
        few = in_two_seconds(2)
        many = in_two_seconds(38)
        assert 0 < many <= 1.5 * few + 10
        for connection in held:
            connection.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[str, psutil.Process, Api]]:
    """``counterdub api`` with its usual limits but for the streams of a key."""
    migrate.upgrade(ServiceSettings(data=tmp_path / "data").sqlalchemy_url())
    api = make_api(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "COUNTERDUB_DATA": str(tmp_path / "data"),
        "COUNTERDUB_BROKER_URL": "redis://127.0.0.1:1/0",
        "COUNTERDUB_MAX_STREAMS": "500",
    }
    command = [sys.executable, "-P", "-m", "services.cli", "api", "--port", str(port)]
    running = subprocess.Popen(command, cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/healthz", timeout=1).is_success:
                break
        time.sleep(0.1)
    yield url, psutil.Process(running.pid), api
    running.kill()
    running.wait()
    api.database.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["head", "body", "download", "stream", "activity", "all"])
def test_hundreds_of_slow_clients_hold_nobody_up(
    process: tuple[str, psutil.Process, Api], tmp_path: Path, kind: str
) -> None:
    """300 of each kind and 500 idle streams: the probe answers within a second, memory grows less than 100 MiB."""
    url, server, api = process
    path = with_file(api, tmp_path)
    job = path.split("/")[3]
    api.tell(job, *["task_done"] * 2000)
    said = {
        "head": "GET /v1/jobs HTTP/1.1\r\nHost: loc",
        "body": post(1000) + "{",
        "download": f"GET {path} HTTP/1.1\r\n{HOST}\r\n",
        "stream": f"GET /v1/jobs/{job}/events HTTP/1.1\r\n{HOST}\r\n",
        "activity": f"GET /v1/activity HTTP/1.1\r\n{HOST}\r\n",
    }
    numbers = {"head": 300, "body": 300, "download": 300, "stream": 500, "activity": 300}
    chosen = [kind] if kind != "all" else ["head", "body", "download", "stream"]
    httpx.get(f"{url}/v1/jobs")
    before = server.memory_info().rss
    held, slowest, most = [], 0.0, 0
    for one in chosen:
        for number in range(numbers[one]):
            held.append(connect(url, said[one]))
            if number % 100 == 0:
                slowest = max(slowest, probed(url))
    for _ in range(12):
        slowest = max(slowest, probed(url))
        most = max(most, server.memory_info().rss - before)
        time.sleep(1)
    print(f"{kind}: slowest probe {slowest:.2f} s, memory +{most / 2**20:.0f} MiB")
    assert slowest < 1 and most < 100 * 2**20
    for connection in held:
        connection.close()


def probed(url: str) -> float:
    """Seconds until a new connection's probe is answered."""
    began = time.monotonic()
    with connect(url, f"GET /healthz HTTP/1.1\r\n{HOST}\r\n") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    return time.monotonic() - began
