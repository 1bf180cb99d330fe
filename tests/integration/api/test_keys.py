"""API keys: what lets a caller in, and what they may then do."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.api.auth.keys import FORM, create_key, list_keys, revoke_key
from services.api.auth.quotas import check_new_job, minutes_used
from shared.core.errors import CounterdubError, UsageError
from shared.ledger.tables import Job, Usage
from tests.integration.security.installation import READER, WRITER, Installation, install, problem


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Installation]:
    found = install(tmp_path)
    yield found
    found.close()


@pytest.fixture
def open_api(tmp_path: Path) -> Iterator[Installation]:
    found = install(tmp_path, keys_required=False)
    yield found
    found.close()


def test_key_by_either_header(api: Installation) -> None:
    secret = api.key()
    assert api.client(secret).get("/v1/jobs").status_code == 200
    assert api.client(**{"X-API-Key": secret}).get("/v1/jobs").status_code == 200


WRONG = {
    "none": {},
    "another key": {"Authorization": "Bearer cdk_" + "A" * 43},
    "no key at all": {"Authorization": "Bearer letmein"},
    "empty": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="},
    "empty header": {"X-API-Key": ""},
    "SQL": {"X-API-Key": "' OR 1=1 --"},
    "very long": {"X-API-Key": "cdk_" + "A" * 60_000},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
def test_wrong_key(api: Installation, headers: dict[str, str]) -> None:
    response = api.client(**headers).get("/v1/jobs")
    assert problem(response, 401) == "unauthenticated"
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_wrong_key_for_every_route_but_the_health_checks(api: Installation) -> None:
    paths = api.client().get("/v1/openapi.json").json()["paths"]
    upload, job = "upl_" + "0" * 32, "job_" + "0" * 32
    assert len(paths) > 10
    for path, operations in paths.items():
        for method in operations:
            if path.startswith("/v1") and method != "options":
                url = path.replace("{upload_id}", upload).replace("{job_id}", job)
                # Where a browser hands its key in, the key is in the body.
                handed_in = {"key": "cdk_" + "A" * 43} if (method, path) == ("post", "/v1/session") else None
                response = api.client(**{"Tus-Resumable": "1.0.0"}).request(method, url, json=handed_in)
                forgetting = (method, path) == ("delete", "/v1/session")  # of a cookie, which needs no key
                assert response.status_code == (204 if forgetting else 401), (method, path, response.text)


def test_key_is_refused_where_none_is_needed_if_it_is_wrong(open_api: Installation) -> None:
    assert open_api.client().get("/v1/jobs").status_code == 200
    assert problem(open_api.client("cdk_" + "A" * 43).get("/v1/jobs"), 401) == "unauthenticated"


def test_revoked_key(api: Installation) -> None:
    key_id, secret = create_key(api.here.database, "phone", WRITER)
    assert api.client(secret).get("/v1/jobs").status_code == 200
    revoke_key(api.here.database, key_id)
    revoke_key(api.here.database, key_id)
    assert problem(api.client(secret).get("/v1/jobs"), 401) == "unauthenticated"
    (listed,) = list_keys(api.here.database)
    assert listed.id == key_id and listed.revoked is not None


def test_unknown_key_and_scope(api: Installation) -> None:
    with pytest.raises(UsageError) as caught:
        revoke_key(api.here.database, "key_0")
    assert caught.value.code == "unknown_key"
    for scopes in ((), ("root",), ("jobs:read", "root")):
        with pytest.raises(UsageError) as caught:
            create_key(api.here.database, "x", scopes)
        assert caught.value.code == "unknown_scope"


def test_only_a_hash_of_the_key_is_kept(api: Installation, tmp_path: Path) -> None:
    secret = api.key()
    assert FORM.fullmatch(secret)
    with api.here.database.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM api_key")).all()
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert secret not in str(rows) and secret[4:] not in str(rows)
    assert secret[4:].encode() not in (tmp_path / "counterdub.db").read_bytes()


def test_two_keys_are_never_alike(api: Installation) -> None:
    assert len({api.key() for _ in range(20)}) == 20


def test_scopes(api: Installation) -> None:
    reader, job = api.caller(*READER), "job_" + "0" * 32
    assert reader.get("/v1/jobs").status_code == 200
    for ask in (
        lambda: reader.post("/v1/jobs", json={}),
        lambda: reader.delete(f"/v1/jobs/{job}"),
        lambda: reader.post(f"/v1/jobs/{job}:cancel"),
        lambda: reader.post("/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "1"}),
    ):
        response = ask()
        assert problem(response, 403) == "forbidden" and "jobs:write" in response.json()["detail"]
    assert problem(api.caller("jobs:write").get("/v1/jobs"), 403) == "forbidden"
    assert api.caller("admin").get("/v1/jobs").status_code == 200


WEBSITES: dict[str, tuple[str, dict[str, str]]] = {
    "form of another website": ("post", {"Origin": "https://evil.example.com"}),
    "page without an origin": ("post", {"Origin": "null"}),
    "request across sites": ("post", {"Sec-Fetch-Site": "cross-site"}),
    "single word that a resolver completes": ("get", {"Host": "evil"}),
    "name that was made to lead here": ("get", {"Host": "evil.example.com"}),
    "name that was made to lead here, with our port": ("post", {"Host": "evil.example.com:8000"}),
}


@pytest.mark.parametrize(("method", "headers"), WEBSITES.values(), ids=WEBSITES)
def test_websites_cannot_use_an_api_that_needs_no_key(
    open_api: Installation, method: str, headers: dict[str, str]
) -> None:
    assert problem(open_api.client(**headers).request(method, "/v1/jobs"), 403) == "forbidden"


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "app.localhost", socket.gethostname()]
)
def test_own_names_and_pages_can(open_api: Installation, host: str) -> None:
    assert open_api.client(Host=host, Origin=f"http://{host}").get("/v1/jobs").status_code == 200


# Quotas


@pytest.fixture(params=["sqlite", "postgresql"])
def counted(
    request: pytest.FixtureRequest, tmp_path: Path, database_urls: Callable[[str], str]
) -> Iterator[Installation]:
    """On each database."""
    found = install(tmp_path, database=database_urls(request.param))
    yield found
    found.close()


def enter(api: Installation, key_id: str | None, state: str = "running", seconds: float | None = None) -> None:
    with api.here.database.write() as session:
        job = Job(key_id=key_id, languages=["es"], settings={}, state=state)
        session.add(job)
        session.flush()
        if seconds is not None:
            session.add(Usage(job_id=job.id, title="a", key_id=key_id, seconds=seconds))


def caller(api: Installation, **limits: Any) -> Any:
    from services.api.auth.keys import caller_of

    found = caller_of(api.here.database, api.key(**limits))
    assert found is not None
    return found


def refused(api: Installation, who: Any) -> str | None:
    with api.here.database.write() as session:
        try:
            check_new_job(session, who, api.settings)
        except CounterdubError as error:
            assert getattr(error, "status", 0) == 429
            return error.code
    return None


def test_quota_of_open_jobs(counted: Installation) -> None:
    mine, other = caller(counted, max_open_jobs=2), caller(counted)
    for state in ("done", "failed", "cancelled", "running"):
        enter(counted, mine.key_id, state)
    enter(counted, other.key_id)
    assert refused(counted, mine) is None
    enter(counted, mine.key_id, "cancelling")
    assert refused(counted, mine) == "quota_jobs"
    assert refused(counted, other) is None


def test_quota_of_minutes(counted: Installation) -> None:
    mine, other = caller(counted, max_minutes=2.0), caller(counted, max_minutes=2.0)
    enter(counted, mine.key_id, "done", 60.0)
    enter(counted, mine.key_id, "done")
    assert refused(counted, mine) is None
    enter(counted, mine.key_id, "running", 59.5)
    with counted.here.database.read() as session:
        assert minutes_used(session, mine.key_id) == pytest.approx(119.5 / 60)
    assert refused(counted, mine) is None
    enter(counted, mine.key_id, "failed", 0.5)
    assert refused(counted, mine) == "quota_minutes"
    assert refused(counted, other) is None


def test_quota_of_open_jobs_is_told_to_the_caller(api: Installation) -> None:
    response = api.caller(max_open_jobs=0).post("/v1/jobs", json={"languages": ["es"], "sources": []})
    assert problem(response, 429) == "quota_jobs" and response.json()["retryable"]
