"""``counterdub serve``: everything by one command, kept running, ended in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from services.cli.serve.listen_address import address, keys_required, listen
from services.cli.serve.machine import Machine, engine_processes, media_processes, this_machine
from shared.core.errors import UsageError
from shared.queue.service_settings import ServiceSettings
from tests.integration.cli.conftest import counterdub, said

GB = 2**30
COUNTERDUB = (sys.executable, "-P", "-m", "services.cli")


class Served:
    """A running ``counterdub serve``."""

    def __init__(self, data: Path, *options: str, **environment: str) -> None:
        self.data = data
        self.log = (data.parent / f"{data.name}.log").open("w+")
        kept = {key: value for key, value in os.environ.items() if key not in ("COUNTERDUB_BROKER_URL",)}
        self.process = subprocess.Popen(
            [*COUNTERDUB, "serve", "--data", str(data), "--port", "0", "--json", *options],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**kept, "COUNTERDUB_SOFT_SHUTDOWN_S": "20", "COUNTERDUB_HEARTBEAT_S": "2", **environment},
        )
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "")
        text = ""
        for line in lines:
            text += line
            if line == "}\n":
                break
        else:
            raise AssertionError(self.told())
        self.ready = json.loads(text)
        self.url: str = self.ready["url"]

    def told(self) -> str:
        return Path(self.log.name).read_text()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, *words: str) -> psutil.Process:
        """The direct child whose command has these words."""
        for process in psutil.Process(self.process.pid).children():
            if all(any(word in part for part in process.cmdline()) for word in words):
                return process
        raise LookupError(words)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except (LookupError, psutil.NoSuchProcess, httpx2.TransportError):
            pass
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("serve") / "some data")
    yield found
    if found.process.poll() is None:
        found.stop()


def ready(served: Served) -> bool:
    return httpx2.get(f"{served.url}/readyz", timeout=30).status_code == 200


def test_it_is_ready_and_private(served: Served) -> None:
    assert ready(served)
    assert httpx2.get(f"{served.url}/v1/jobs").json()["items"] == []
    assert served.data.stat().st_mode & 0o077 == 0
    broker = served.child("valkey-server")
    # Neither in a list of processes nor in a file: the environment of the children has it.
    url = served.child("api").environ()["COUNTERDUB_BROKER_URL"]
    password = url.partition(":@")[2] or url.split(":")[2].partition("@")[0]
    assert len(password) > 20
    assert not any(password in part for process in served.family() for part in process.cmdline())
    assert not [path for path in served.data.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
    assert {connection.laddr.ip for connection in broker.net_connections() if connection.status == "LISTEN"} == {
        "127.0.0.1"
    }


def test_the_broker_wants_its_password(served: Served) -> None:
    import redis

    port = served.child("valkey-server").net_connections()[0].laddr.port
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis(port=port).ping()


def test_a_second_one_is_refused(served: Served) -> None:
    result = counterdub("serve", "--data", served.data, "--port", "0", "--json")
    assert (result.exit_code, said(result)["error"]["code"]) == (3, "already_served")


def test_a_taken_port_is_refused(served: Served, tmp_path: Path) -> None:
    port = served.url.rpartition(":")[2]
    result = counterdub("serve", "--data", tmp_path / "other", "--port", port, "--json")
    assert (result.exit_code, said(result)["error"]["code"]) == (2, "cannot_listen")


def test_a_request_outlives_the_api(served: Served) -> None:
    """Our socket stays: while the API is started again, callers wait instead of being refused."""
    before = served.child("api").pid
    os.kill(before, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(before))
    assert httpx2.get(f"{served.url}/healthz", timeout=60).status_code == 200
    assert served.child("api").pid != before


def test_broker_and_workers_are_started_again(served: Served) -> None:
    worker = served.child("worker", "separation")
    until(worker.children)
    orphans = worker.children()
    broker = served.child("valkey-server")
    for process in (worker, broker):
        process.kill()
    until(lambda: all(not process.is_running() for process in (*orphans, worker, broker)))
    until(lambda: served.child("worker", "separation").children() and served.child("valkey-server"))
    until(lambda: ready(served))
    assert "engines-1 ended" in served.told()


def test_logs_say_who_speaks(served: Served) -> None:
    lines = [json.loads(line) for line in served.told().splitlines() if line.startswith("{")]
    assert {"serve", "api"} <= {line["process"] for line in lines}


def test_it_ends_in_order(served: Served) -> None:
    family = served.family()
    assert len(family) >= 6
    assert served.stop() == 0
    assert not [process for process in family if process.is_running()]
    assert served.told().rstrip().endswith("}")
    assert '"stopped"' in served.told().splitlines()[-1]


def test_strangers_need_a_key(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", "--host", "0.0.0.0")
    try:
        assert httpx2.get(f"{served.url}/v1/jobs").status_code == 401
        key = said(counterdub("keys", "create", "me", "--data", served.data, "--json"))
        headers = {"Authorization": f"Bearer {key['key']}"}
        assert httpx2.get(f"{served.url}/v1/jobs", headers=headers).status_code == 200
        assert "keys create" in served.told()
    finally:
        served.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(10) == 0


def test_keys_required() -> None:
    def asked(host: str, wanted: bool | None) -> bool:
        return keys_required(host, ServiceSettings.model_validate({"require_keys": wanted}))

    assert not asked("127.0.0.1", None)
    assert not asked("::1", None)
    assert not asked("localhost", False)
    assert asked("127.0.0.1", True)
    assert asked("0.0.0.0", None)
    assert asked("example.org", True)
    with pytest.raises(UsageError) as error:
        asked("0.0.0.0", False)
    assert error.value.code == "keys_required"


def test_addresses() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert address(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
    with listen("0.0.0.0", 0) as listening:
        assert address(listening).startswith("http://127.0.0.1:")
    with pytest.raises(UsageError):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("cores", "gigabytes", "engines", "media"),
    [(1, 2, 1, 1), (2, 8, 1, 1), (4, 8, 1, 1), (8, 32, 4, 2), (64, 32, 7, 4), (64, 512, 32, 4)],
)
def test_processes_follow_the_machine(cores: int, gigabytes: int, engines: int, media: int) -> None:
    machine = Machine(cores, gigabytes * GB)
    assert (engine_processes(machine), media_processes(machine)) == (engines, media)


def test_a_container_has_less_than_its_host(tmp_path: Path) -> None:
    whole = this_machine(tmp_path)
    assert whole.cores >= 1
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{GB // 2}\n")
    assert this_machine(tmp_path) == Machine(1, GB // 2)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert this_machine(tmp_path) == whole
