"""A request sent again is the same request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from services.api.http import idempotency
from services.api.routes import jobs
from shared.ledger.tables import Idempotency, now
from tests.integration.api.asking import ask, count, video
from tests.integration.api.harness import Api


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client()


def test_the_same_key_gets_the_same_answer_and_one_job(any_api: Api) -> None:
    client = any_api.client()
    first, second = ask(client, "one"), ask(client, "one")
    assert (first.status_code, first.json(), first.headers["location"]) == (
        second.status_code,
        second.json(),
        second.headers["location"],
    )
    other = ask(client, "one", ("fr",))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert ask(client, "two").json()["id"] != first.json()["id"]
    assert count(any_api) == 2


def test_a_process_killed_before_its_answer_has_made_one_job(any_api: Api) -> None:
    client = any_api.client()
    first = ask(client, "killed")
    with any_api.database.write() as session:
        row = session.get_one(Idempotency, ("", "killed"))
        row.status, row.response = None, None
        row.created -= timedelta(hours=1)
    again = ask(client, "killed")
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert again.headers["location"] == first.headers["location"]
    assert count(any_api) == 1


def test_the_same_form_sent_again_is_the_same_request(api: Api, client: TestClient) -> None:
    def send(content: bytes = b"x") -> httpx2.Response:
        headers = {"Idempotency-Key": "form"}
        return client.post("/v1/jobs", files=[video(content=content)], data={"languages": "es"}, headers=headers)

    assert send().json()["id"] == send().json()["id"]
    assert send(b"y").status_code == 422
    assert count(api) == 1


def test_many_at_once_with_one_key_make_one_job(any_api: Api) -> None:
    client = any_api.client()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(client, "race"), range(24)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert count(any_api) == 1


def test_a_request_still_being_answered_is_a_conflict_until_it_is_abandoned(any_api: Api) -> None:
    client = any_api.client()
    ask(client, "slow")
    with any_api.database.write() as session:
        row = session.get_one(Idempotency, ("", "slow"))
        row.status = row.location = row.response = None
    busy = ask(client, "slow")
    assert (busy.status_code, busy.json()["code"], busy.json()["retryable"]) == (409, "idempotency_busy", True)
    with any_api.database.write() as session:
        session.get_one(Idempotency, ("", "slow")).created = now() - idempotency.ABANDONED
    assert ask(client, "slow").status_code == 202


def test_an_error_is_not_kept(api: Api, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.core.errors import StorageError

    def away(*args: Any, **kwargs: Any) -> None:
        raise StorageError("The database does not answer.", code="database_away", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr("shared.queue.job_commands.create_job", away)
        failed = ask(client, "again")
        assert failed.status_code == 503 and failed.headers["retry-after"]
    assert ask(client, "again").status_code == 202


@pytest.mark.parametrize("what", ["answer", "commit"])
@pytest.mark.parametrize("path", ["jobs", "trainings"])
def test_a_database_that_goes_away_after_the_job_was_made(
    any_api: Api, monkeypatch: pytest.MonkeyPatch, what: str, path: str
) -> None:
    from services.api.routes import trainings
    from shared.core.errors import StorageError
    from shared.queue import job_commands
    from shared.queue import trainings as queued

    client, module = any_api.client(), {"jobs": jobs, "trainings": trainings}[path]
    headers = {"Idempotency-Key": "away"}
    body: dict[str, Any] = {"sources": [{"url": "https://example.org/a.mp4"}], "languages": ["es"]}
    if path == "trainings":
        body = {"recipe": "tiny-en", "when": {"accepted_pairs": 5}}
    entering: dict[str, tuple[Any, str]] = {
        "jobs": (job_commands, "create_job"),
        "trainings": (queued, "create_training"),
    }
    where, name = (module, "current") if what == "answer" else entering[path]
    real = getattr(where, name)

    def away(*args: Any, **more: Any) -> Any:
        if what == "commit":
            real(*args, **more)  # Written, and the answer got lost.
        raise StorageError("away", code="database_away", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, away)
        assert client.post(f"/v1/{path}", json=body, headers=headers).status_code == 503
    again = client.post(f"/v1/{path}", json=body, headers=headers)
    assert again.status_code in (201, 202)
    assert client.post(f"/v1/{path}", json=body, headers=headers).json() == again.json()
    assert count(any_api) == 1


def test_a_caller_without_quota_left_gets_the_answer_again(any_api: Api) -> None:
    client = any_api.client()
    first = ask(client, "first")
    object.__setattr__(any_api.here.settings, "max_open_jobs", 1)
    assert ask(client, "other").status_code == 429
    again = ask(client, "first")
    assert (again.status_code, again.json()) == (202, first.json())
    assert count(any_api) == 1


def test_a_key_that_was_refused_for_want_of_quota_is_free_again(api: Api, client: TestClient) -> None:
    object.__setattr__(api.here.settings, "max_open_jobs", 0)
    assert ask(client, "later").status_code == 429
    object.__setattr__(api.here.settings, "max_open_jobs", 10)
    assert ask(client, "later").status_code == 202
