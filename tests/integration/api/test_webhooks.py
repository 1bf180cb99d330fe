"""Webhooks: signed, sent once by one of several processes, tried again, and never sent inwards."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.api import webhooks
from services.api.auth.keys import create_key
from services.api.webhooks import DELAYS_S, check_webhook_url, claim, deliverer, settle, signing_key
from shared.core.errors import UsageError
from shared.ledger.database import Database
from shared.ledger.tables import Base, Delivery, Job, now
from shared.queue.service_settings import ServiceSettings
from tests.integration.security.conftest import internet  # noqa: F401 - a fixture
from tests.integration.security.origin import PUBLIC, Internet, Origin, redirect, respond, serving

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = {"type": "job.done", "timestamp": "2026-01-01T00:00:00+00:00", "data": {"id": "job_1", "state": "dóne"}}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, database_urls: Callable[[str], str]) -> Iterator[Database]:
    found = Database(database_urls(request.param))
    Base.metadata.create_all(found.engine)
    yield found
    found.close()


def settings(folder: Path, *private_hosts: str) -> ServiceSettings:
    return ServiceSettings(data=folder, private_hosts=list(private_hosts or ("127.0.0.1",)))


def due(database: Database, url: str, secret: str | None = SECRET, key_id: str | None = None) -> str:
    with database.write() as session:
        job = Job(languages=["es"], settings={}, state="done", webhook_url=url, webhook_secret=secret, key_id=key_id)
        session.add(job)
        session.flush()
        delivery = Delivery(job_id=job.id, body=BODY)
        session.add(delivery)
        session.flush()
        return delivery.id


def delivery(database: Database, ident: str) -> Delivery:
    with database.read() as session:
        found = session.get(Delivery, ident)
    assert found is not None
    return found


def run(database: Database, told: ServiceSettings, until: Callable[[], bool], seconds: float = 15) -> None:
    """The deliverer until something is so."""

    async def work() -> None:
        task = asyncio.create_task(deliverer(database, told, poll_s=0.05))
        deadline = time.monotonic() + seconds
        while not until() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())
    assert until(), "nothing happened"


def attempted(database: Database, ident: str, times: int = 1) -> Callable[[], bool]:
    def so() -> bool:
        found = delivery(database, ident)
        settled = found.state != "waiting" or found.next_attempt > now() + timedelta(seconds=webhooks.CLAIMED_S + 1)
        quick = found.state == "waiting" and found.next_attempt <= now() + timedelta(seconds=20)
        return found.attempts >= times and (settled or quick)

    return so


def sent_headers(origin: Origin) -> dict[str, str]:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {name: value for name in names if (value := origin.header(name)) is not None}


def test_message_is_signed_after_standard_webhooks(database: Database, tmp_path: Path) -> None:
    with serving({"/hook": respond(204)}) as origin:
        ident = due(database, f"{origin.url}/hook?for=me")
        run(database, settings(tmp_path), attempted(database, ident))
        assert delivery(database, ident).state == "sent" and delivery(database, ident).last_status == 204
        assert origin.paths == ["/hook?for=me"]
        headers = sent_headers(origin)
        assert headers["webhook-id"] == ident and origin.header("content-type") == "application/json"
        assert Webhook(SECRET).verify(origin.bodies[0], headers) == BODY
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(origin.bodies[0] + b" ", headers)
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + "A" * 32).verify(origin.bodies[0], headers)


def test_secret_that_is_any_text(database: Database, tmp_path: Path) -> None:
    with serving({"/": respond(200)}) as origin:
        ident = due(database, f"{origin.url}/", "correct horse")
        run(database, settings(tmp_path), attempted(database, ident))
        assert Webhook(b"correct horse").verify(origin.bodies[0], sent_headers(origin)) == BODY


def test_without_a_secret_there_is_no_signature(database: Database, tmp_path: Path) -> None:
    with serving({"/": respond(200)}) as origin:
        ident = due(database, f"{origin.url}/", None)
        run(database, settings(tmp_path), attempted(database, ident))
        assert delivery(database, ident).state == "sent" and "webhook-signature" not in sent_headers(origin)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!!!", "whsec_AAAA", "whsec_" + "A" * 200])
def test_secret_that_is_none(secret: str) -> None:
    with pytest.raises(UsageError) as caught:
        signing_key(secret)
    assert caught.value.code == "bad_webhook_secret"


def hang(connection: socket.socket, _request: str) -> None:
    time.sleep(3)


def trickle(connection: socket.socket, _request: str) -> None:
    connection.sendall(b"HTTP/1.1 ")
    for _ in range(100):
        connection.sendall(b"2")
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [respond(500), respond(404), redirect("/elsewhere"), b"nonsense", hang, trickle])
def test_message_that_is_not_taken_is_tried_again_later(
    database: Database, tmp_path: Path, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TOTAL_S", 1.0)
    with serving({"/": answer, "/elsewhere": respond(200)}) as origin:
        ident = due(database, f"{origin.url}/")
        run(database, settings(tmp_path), attempted(database, ident))
        found = delivery(database, ident)
        assert found.state == "waiting" and found.attempts == 1
        wait = (found.next_attempt - now()).total_seconds()
        assert wait < DELAYS_S[0] * 1.2
        assert origin.paths == ["/"], "redirects are not followed"


def test_the_same_message_keeps_its_id(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "DELAYS_S", (0.1, 0.1))
    with serving({"/": respond(503)}) as origin:
        ident = due(database, f"{origin.url}/")
        run(database, settings(tmp_path), lambda: delivery(database, ident).state == "failed")
        assert len(origin.requests) == 3
        assert {origin.header("webhook-id", n) for n in range(3)} == {ident}
    assert delivery(database, ident).attempts == 3


def test_gone_ends_it_at_once(database: Database, tmp_path: Path) -> None:
    with serving({"/": respond(410)}) as origin:
        ident = due(database, f"{origin.url}/")
        run(database, settings(tmp_path), lambda: delivery(database, ident).state == "failed")
    assert delivery(database, ident).attempts == 1 and delivery(database, ident).last_status == 410


def test_waits_grow_and_end_after_eight_attempts(database: Database) -> None:
    ident = due(database, "https://example.com/")
    waits = []
    for attempt in range(1, 9):
        with database.write() as session:
            session.get_one(Delivery, ident).next_attempt = now() - timedelta(seconds=1)
        (message,) = claim(database, 10)
        assert message.attempt == attempt
        settle(database, message, 500)
        waits.append((delivery(database, ident).next_attempt - now()).total_seconds())
    assert delivery(database, ident).state == "failed"
    assert all(later > sooner for sooner, later in pairwise(waits[:7]))
    assert not claim(database, 10)


def test_several_processes_send_each_message_once(database: Database) -> None:
    idents = {due(database, "https://example.com/") for _ in range(40)}
    url = database.engine.url.render_as_string(hide_password=False)
    others = [Database(url) for _ in range(4)]

    def all_of_them(own: Database) -> list[str]:
        found: list[str] = []
        while part := claim(own, 100):
            found += [message.id for message in part]
        return found

    with ThreadPoolExecutor(4) as pool:
        claimed = [ident for part in pool.map(all_of_them, others) for ident in part]
    for own in others:
        own.close()
    assert sorted(claimed) == sorted(idents)


def test_message_of_a_process_that_was_killed_is_sent_by_another(database: Database, tmp_path: Path) -> None:
    with serving({"/": respond(200)}) as origin:
        ident = due(database, f"{origin.url}/")
        assert claim(database, 1)
        assert not claim(database, 1)
        with database.write() as session:
            session.get_one(Delivery, ident).next_attempt = now()
        run(database, settings(tmp_path), lambda: delivery(database, ident).state == "sent")
        assert len(origin.requests) == 1


def test_late_outcome_of_a_process_that_was_too_slow_counts_for_nothing(database: Database) -> None:
    ident = due(database, "https://example.com/")
    (slow,) = claim(database, 1)
    with database.write() as session:
        session.get_one(Delivery, ident).next_attempt = now()
    (quick,) = claim(database, 1)
    assert settle(database, quick, 200) == "sent"
    settle(database, slow, 500)
    assert delivery(database, ident).state == "sent"


def test_slow_receiver_does_not_hold_up_the_others(database: Database, tmp_path: Path) -> None:
    with serving({"/slow": hang, "/": respond(200)}) as origin:
        due(database, f"{origin.url}/slow")
        quick = due(database, f"{origin.url}/")
        began = time.monotonic()
        run(database, settings(tmp_path), lambda: delivery(database, quick).state == "sent")
        assert time.monotonic() - began < 2.5


@contextmanager
def tarpit() -> Iterator[str]:
    """A receiver that takes every connection and answers none; its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as held:
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def test_messages_to_a_tarpit_delay_nobody_elses(database: Database, tmp_path: Path) -> None:
    """Neither another key's, nor, of many keys whose messages go there, those to another host."""
    keys = [create_key(database, f"k{number}", ["jobs:read"])[0] for number in range(5)]
    with tarpit() as pit, serving({"/": respond(200)}) as origin:
        stuck = [due(database, f"{pit}/{number}", key_id=keys[0]) for number in range(64)]
        stuck += [due(database, pit, key_id=key) for key in keys[:4] for _ in range(30)]
        other = due(database, origin.url.replace("127.0.0.1", "localhost"), key_id=keys[4])
        began = time.monotonic()
        told = settings(tmp_path, "127.0.0.1", "localhost")
        run(database, told, lambda: delivery(database, other).state == "sent")
        assert time.monotonic() - began < 5
        begun = [delivery(database, ident).attempts for ident in stuck]
        assert sum(begun) == webhooks.SHARE, "the host's share"


def test_a_keys_messages_to_many_hosts_have_one_share(database: Database) -> None:
    key = create_key(database, "mine", ["jobs:read"])[0]
    for number in range(20):
        due(database, f"https://host{number}.example.com/", key_id=key)
    due(database, "https://other.example.com/")
    taken = claim(database, 100)
    assert [message.key_id for message in taken].count(key) == webhooks.SHARE and len(taken) == webhooks.SHARE + 1
    assert not claim(database, 100, [message for message in taken if message.key_id == key])
    assert len(claim(database, 100)) == webhooks.SHARE


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://169.254.169.254/", "http://localhost/", "ftp://example.com/", "x"]
)
def test_webhook_inwards_is_refused_when_it_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_webhook_url(url, settings(tmp_path, "hooks.internal"))
    assert caught.value.code == "url_not_allowed"


def test_webhook_to_a_name_that_leads_inwards_is_not_sent(
    internet: Internet,  # noqa: F811
    database: Database,
    tmp_path: Path,
) -> None:
    internet.names["hook.example.com"] = [["10.0.0.1"]]
    check_webhook_url("https://hook.example.com/", settings(tmp_path, "none"))
    ident = due(database, "https://hook.example.com/")
    run(database, settings(tmp_path, "none"), attempted(database, ident))
    assert delivery(database, ident).state == "waiting" and delivery(database, ident).last_status is None
    assert not internet.connections


def test_dns_rebinding_of_a_webhook(
    internet: Internet,  # noqa: F811
    database: Database,
    tmp_path: Path,
) -> None:
    internet.names["hook.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    with serving({"/": respond(200)}) as origin:
        internet.origin = origin
        ident = due(database, "http://hook.example.com/")
        run(database, settings(tmp_path, "none"), attempted(database, ident))
    assert delivery(database, ident).state == "sent" and internet.connections == [PUBLIC]


def logged(caplog: pytest.LogCaptureFixture, attempts: int) -> bool:
    return caplog.text.count(": attempt ") == attempts


def test_neither_secret_nor_url_is_logged(database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving({"/a": respond(500)}) as origin:
        for number, path in enumerate(("/a?token=private", "/path-private"), 1):
            due(database, f"http://user:private@127.0.0.1:{origin.port}{path}")
            # The line comes after what is kept of the attempt.
            run(database, settings(tmp_path), partial(logged, caplog, number))
    assert "answered 500" in caplog.text
    assert "private" not in caplog.text and SECRET not in caplog.text and SECRET[6:] not in caplog.text


def test_database_that_is_away_is_waited_for(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.core.errors import StorageError

    calls = []

    def away(own: Database, most: int, sending: Any) -> list[Any]:
        calls.append(most)
        if len(calls) < 3:
            raise StorageError("away", code="database_away", retryable=True)
        return claim(own, most, sending)

    monkeypatch.setattr(webhooks, "claim", away)
    with serving({"/": respond(200)}) as origin:
        ident = due(database, f"{origin.url}/")
        run(database, settings(tmp_path), lambda: delivery(database, ident).state == "sent")
