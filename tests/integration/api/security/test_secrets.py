"""Secrets stay secret: keys, passwords of database and broker, webhook secrets, credentials in URLs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from services.api.app import create_app
from services.api.auth.keys import ANYBODY, caller_of
from shared.queue.service_settings import ServiceSettings
from tests.integration.security.installation import HERE, Installation, problem

PASSWORD = "hunter2-password"


def away(folder: Path) -> TestClient:
    """An API whose database and broker are away."""
    settings = ServiceSettings(
        data=folder,
        database_url=SecretStr(f"postgresql://user:{PASSWORD}@127.0.0.1:1/counterdub"),
        broker_url=SecretStr(f"redis://:{PASSWORD}@127.0.0.1:1/0"),
    )
    assert PASSWORD not in repr(settings) and PASSWORD not in str(settings.model_dump())
    return TestClient(create_app(settings, keys_required=False), base_url=HERE, raise_server_exceptions=False)


def test_password_of_the_database_is_neither_in_answers_nor_in_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = away(tmp_path)
    for path in ("/v1/jobs", "/readyz", "/metrics", "/v1/stats"):
        response = client.get(path)
        assert response.status_code in (200, 503), response.text
        assert PASSWORD not in response.text + str(response.headers)
    assert problem(client.get("/v1/jobs"), 503) == "database_away"
    assert PASSWORD not in caplog.text


def test_password_of_the_broker_is_not_logged(api: Installation, caplog: pytest.LogCaptureFixture) -> None:
    from shared.queue.celery_app import wake

    caplog.set_level(logging.DEBUG)
    wake(f"redis://:{PASSWORD}@127.0.0.1:1/0", {"ingest": 1})
    assert PASSWORD not in caplog.text


def test_keys_are_not_logged(api: Installation, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret, wrong = api.key(), "cdk_" + "W" * 43
    for given in (secret, wrong):
        for headers in ({"Authorization": f"Bearer {given}"}, {"X-API-Key": given}):
            response = api.client(**headers).get("/v1/jobs")
            assert given not in response.text + str(response.headers)
    assert api.client().get("/v1/jobs", params={"api_key": secret}).status_code == 401, "nor taken from the address"
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    assert secret not in ours and wrong not in ours
    assert secret not in repr(caller_of(api.here.database, secret)) and ANYBODY.key_id is None


def test_webhook_secret_is_never_shown_again(api: Installation, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret, caller = "whsec_" + "S" * 32, api.caller()
    asked = {"languages": ["es"], "sources": [{"url": "https://example.com/a.mp4"}]}
    asked |= {"webhook": {"url": "https://example.com/hook", "secret": secret}}
    response = caller.post("/v1/jobs", json=asked)
    assert response.status_code == 202, response.text
    place = response.headers["location"]
    for answer in (response, caller.get(place), caller.get("/v1/jobs"), caller.get(f"{place}/titles")):
        assert secret not in answer.text
    bad = caller.post("/v1/jobs", json={**asked, "webhook": {"url": "nonsense", "secret": secret * 9}})
    assert bad.status_code == 422 and secret not in bad.text
    assert secret not in caplog.text


@pytest.mark.parametrize(
    "source",
    [
        {"url": f"https://user:{PASSWORD}@127.0.0.1/a.mp4"},
        {"url": f"https://127.0.0.1/a.mp4?token={PASSWORD}"},
        {"url": f"s3://private/{PASSWORD}"},
        {"url": f"https://[/{PASSWORD}"},
        {"url": f"gopher://{PASSWORD}"},
        {"path": f"/etc/{PASSWORD}"},
        {"upload": PASSWORD},
    ],
)
def test_refused_sources_are_not_repeated(
    api: Installation, source: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    response = api.caller().post("/v1/jobs", json={"languages": ["es"], "sources": [source]})
    assert response.status_code in (404, 422), response.text
    assert PASSWORD not in response.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("url", ["https://user:{}@example.com/a.mp4", "https://example.com/a.mp4?X-Signature={}#{}"])
def test_credentials_of_a_url_are_never_shown_again(
    api: Installation, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caller = api.caller()
    asked = {"languages": ["es"], "sources": [{"url": url.format(PASSWORD, PASSWORD)}]}
    place = caller.post("/v1/jobs", json=asked).headers["location"]
    for path in (place, "/v1/jobs", f"{place}/titles", f"{place}/files"):
        response = caller.get(path)
        assert response.status_code == 200 and PASSWORD not in response.text
    events = caller.get(f"{place}/events", headers={"Accept": "application/json"})
    assert events.status_code == 200 and PASSWORD not in events.text
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    assert PASSWORD not in ours


INWARD = ["http://127.0.0.1/", "http://169.254.169.254/latest/", "http://[::1]/", "http://10.0.0.1/", "http://redis/"]


@pytest.mark.parametrize("url", INWARD)
def test_inward_urls_are_refused_when_a_job_names_them(api: Installation, url: str) -> None:
    asked = {"languages": ["es"], "sources": [{"url": "https://example.com/a.mp4"}], "webhook": {"url": url}}
    assert problem(api.caller().post("/v1/jobs", json=asked), 422) == "url_not_allowed"
    asked = {"languages": ["es"], "sources": [{"url": url}]}
    assert problem(api.caller().post("/v1/jobs", json=asked), 422) == "url_not_allowed"
    assert not api.jobs()


def test_errors_of_our_own_tell_nothing(api: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr("services.api.auth.keys.caller_of", broken)
    response = api.caller().get("/v1/jobs")
    assert problem(response, 500) == "internal_error" and PASSWORD not in response.text
