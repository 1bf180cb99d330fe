"""Events reach every listener, all of them, in order, once, from wherever the listener left off."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, connect_sse
from sqlalchemy import event

from services.api.auth import keys
from services.api.live import broadcast
from services.api.live.broadcast import Broadcast, Listener, SentEvent
from services.api.routes import events
from shared.ledger.tables import Job
from tests.integration.api.harness import Api, make_api, serving


def listen(
    url: str, job: str, most: int = 10**9, heard: threading.Semaphore | None = None, **more: Any
) -> list[ServerSentEvent]:
    """All events until the stream ends, or the first few. ``heard`` is released with the first."""
    found = []
    with (
        httpx.Client(timeout=20) as client,
        connect_sse(client, "GET", f"{url}/v1/jobs/{job}/events", **more) as source,
    ):
        for item in source.iter_sse():
            found.append(item)
            if heard and len(found) == 1:
                heard.release()
            if len(found) == most:
                break
    return found


def numbers(found: list[ServerSentEvent]) -> list[int]:
    return [int(item.id) for item in found]


def test_a_stream_replays_follows_and_ends_with_the_job(any_api: Api) -> None:
    job = any_api.job()
    any_api.tell(job, *["task_done"] * 5)
    with serving(any_api) as url, ThreadPoolExecutor() as pool:
        stream = pool.submit(listen, url, job)
        for _ in range(20):
            any_api.tell(job, "task_started", "task_done")
            time.sleep(0.02)
        any_api.tell(job, "job_done")
        found = stream.result(20)
    assert numbers(found) == list(range(1, 48))
    assert (found[0].event, found[-1].event) == ("job_created", "job_done")
    first = json.loads(found[0].data)
    assert first.keys() == {"seq", "at", "kind", "data"} and first["data"] == {"titles": ["clip"]}


def test_a_listener_goes_on_where_it_was(any_api: Api) -> None:
    job = any_api.job()
    any_api.tell(job, *["task_done"] * 9)
    with serving(any_api) as url:
        begun = listen(url, job, most=4)
        assert numbers(begun) == [1, 2, 3, 4]
        any_api.tell(job, "task_done", "job_failed")
        rest = listen(url, job, headers={"Last-Event-ID": begun[-1].id})
        assert numbers(rest) == list(range(5, 13))
        assert numbers(listen(url, job, params={"after": 11})) == [12]
        assert httpx.get(f"{url}/v1/jobs/{job}/events", headers={"Last-Event-ID": "12"}).status_code == 204
        assert httpx.get(f"{url}/v1/jobs/{job}/events", headers={"Last-Event-ID": "x"}).status_code == 422


def test_a_retried_jobs_stream_does_not_end_at_its_first_end(any_api: Api) -> None:
    job = any_api.job(state="failed")
    any_api.tell(job, "job_retried")
    with any_api.database.write() as session:
        session.get_one(Job, job).state = "running"
    with serving(any_api) as url, ThreadPoolExecutor() as pool:
        heard = threading.Semaphore(0)
        stream = pool.submit(listen, url, job, heard=heard)
        assert heard.acquire(timeout=20)
        time.sleep(0.6)  # Looks at the database went by meanwhile.
        any_api.tell(job, "job_done")
        assert [item.event for item in stream.result(20)] == ["job_created", "job_failed", "job_retried", "job_done"]


def test_more_events_than_a_page_come_complete(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "PAGE", 7)
    monkeypatch.setattr(broadcast, "KEPT", 5)
    job = api.job()
    api.tell(job, *["task_done"] * 100)
    with serving(api) as url, ThreadPoolExecutor() as pool:
        heard = threading.Semaphore(0)
        stream = pool.submit(listen, url, job, heard=heard)
        assert heard.acquire(timeout=20)
        api.tell(job, *["task_done"] * 100)
        api.tell(job, "job_done")
        assert numbers(stream.result(20)) == list(range(1, 203))


def test_a_page_of_json_instead(api: Api) -> None:
    job = api.job()
    api.tell(job, *["task_done"] * 9)
    client = api.client()
    first = client.get(f"/v1/jobs/{job}/events", params={"format": "json", "limit": 6}).json()
    assert [item["seq"] for item in first["items"]] == [1, 2, 3, 4, 5, 6] and first["after"] == 6
    second = client.get(
        f"/v1/jobs/{job}/events", params={"after": first["after"]}, headers={"Accept": "application/json"}
    ).json()
    assert [item["seq"] for item in second["items"]] == [7, 8, 9, 10] and second["after"] is None


def test_many_listeners_cost_one_query_a_tick(api: Api) -> None:
    jobs = [api.job() for _ in range(5)]
    with serving(api) as url, ThreadPoolExecutor(50) as pool:
        heard = threading.Semaphore(0)
        streams = [pool.submit(listen, url, jobs[number % 5], heard=heard) for number in range(50)]
        assert all(heard.acquire(timeout=20) for _ in streams)
        time.sleep(0.5)
        asked: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            asked.append(statement)

        event.listen(api.database.engine, "before_cursor_execute", note)
        threads = threading.active_count()
        time.sleep(2.1)
        event.remove(api.database.engine, "before_cursor_execute", note)
        looks = [statement for statement in asked if "FROM job" in statement and "job.events" in statement]
        assert 4 <= len(looks) <= 2.2 / broadcast.TICK_S + 1
        # The pools' own threads and ours for reading, but none a listener.
        assert threads < 50 + 50
        for job in jobs:
            api.tell(job, "task_done", "job_done")
        assert all(numbers(stream.result(20)) == [1, 2, 3] for stream in streams)
        assert api.here.broadcast._channels == {}


def test_silence_is_broken_by_comments(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.1)
    job = api.job()
    with serving(api) as url, httpx.stream("GET", f"{url}/v1/jobs/{job}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert [line for line in (next(lines) for _ in range(12)) if line].count(": ping") >= 3


def test_a_deleted_jobs_stream_ends(api: Api) -> None:
    job = api.job()
    with serving(api) as url, ThreadPoolExecutor() as pool:
        heard = threading.Semaphore(0)
        stream = pool.submit(listen, url, job, heard=heard)
        assert heard.acquire(timeout=20)
        with api.database.write() as session:
            session.delete(session.get_one(Job, job))
        assert numbers(stream.result(20)) == [1]


def test_a_server_told_to_stop_ends_its_streams(api: Api) -> None:
    job = api.job()
    with ThreadPoolExecutor() as pool:
        with serving(api) as url:
            heard = threading.Semaphore(0)
            stream = pool.submit(listen, url, job, heard=heard)
            assert heard.acquire(timeout=20)
            began = time.monotonic()
        assert time.monotonic() - began < 5
        assert numbers(stream.result(5)) == [1]


def test_a_client_that_does_not_read_is_let_go_and_costs_no_memory(tmp_path: Path) -> None:
    api = make_api(tmp_path, stall_timeout_s=0.5)
    job = api.job()
    with serving(api) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            deadline = time.monotonic() + 30
            while api.here.broadcast._channels or time.monotonic() - deadline < -27:
                api.tell(job, *["task_done"] * 100, title="x" * 20_000)
                for channel in list(api.here.broadcast._channels.values()):
                    assert all(len(listener._waiting) <= broadcast.KEPT for listener in channel.listeners)
                assert time.monotonic() < deadline


def test_a_listener_notices_what_it_missed() -> None:
    listener = Listener(latest=3)
    assert not listener.missed(3) and listener.missed(2)
    listener.tell([SentEvent(seq, b"", False) for seq in range(4, 4 + broadcast.KEPT + 10)])
    assert listener.missed(3), "the oldest were let go"
    reached = 4 + 10 - 1
    assert not listener.missed(reached)
    assert listener.take(reached) == SentEvent(reached + 1, b"", False)
    listener.tell([SentEvent(5, b"", False)])
    assert not listener.missed(reached + 1)


def test_a_database_that_is_away_delays_events_and_loses_none(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.core.errors import StorageError

    job = api.job()
    looked = Broadcast._latest
    away = threading.Event()

    def latest(self: Broadcast, jobs: list[str]) -> dict[str, int]:
        if away.is_set():
            raise StorageError("away", code="database_away", retryable=True)
        return looked(self, jobs)

    monkeypatch.setattr(Broadcast, "_latest", latest)
    with serving(api) as url, ThreadPoolExecutor() as pool:
        heard = threading.Semaphore(0)
        stream = pool.submit(listen, url, job, heard=heard)
        assert heard.acquire(timeout=20)
        away.set()
        api.tell(job, "task_done")
        time.sleep(0.6)
        away.clear()
        api.tell(job, "job_done")
        assert numbers(stream.result(20)) == [1, 2, 3]


def test_a_stream_ends_when_its_key_is_revoked(any_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "VALID_S", 0.1)
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.1)
    key_id, secret = any_api.key("jobs:read")
    caller = keys.caller_of(any_api.database, secret)
    assert caller is not None
    job = any_api.job(key_id)

    async def listen_on() -> None:
        hub = Broadcast(any_api.database)
        stream = events.stream(any_api.database, hub, job, 0, caller)
        for _ in range(5):
            await anext(stream)
        keys.revoke_key(any_api.database, key_id)
        async with asyncio.timeout(10):
            async for _ in stream:
                pass
        await hub.stop()

    asyncio.run(listen_on())
