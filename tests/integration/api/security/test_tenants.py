"""Other tenants' jobs: not to be seen, changed or told apart from jobs that do not exist."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.api.auth.keys import create_key
from shared.ledger.tables import Artifact, Event, Job, Title
from tests.integration.security.installation import WRITER, Installation, problem

BODIES: dict[str, Any] = {"patch": {"text": "x"}}


@pytest.fixture
def theirs(api: Installation) -> str:
    """A running job of somebody else, with a title, an event and a stored file."""
    key_id, _ = create_key(api.here.database, "them", WRITER)
    store = api.here.store
    with store.workspace() as folder:
        (folder / "report.json").write_text("{}")
        blob = store.add("report.json", folder / "report.json", move=True)
    with api.here.database.write() as session:
        job = Job(key_id=key_id, name="theirs", languages=["es"], settings={}, titles=1, events=1)
        session.add(job)
        session.flush()
        title = Title(job_id=job.id, position=0, name="clip", source_kind="upload", source_name="a", languages=["es"])
        file = Artifact(job_id=job.id, path="report.json", name=blob.name, sha256=blob.sha256, size=blob.size)
        session.add_all([title, file, Event(job_id=job.id, seq=1, kind="job_created", data={})])
        return job.id


def routes(caller: TestClient, job_id: str) -> list[tuple[str, str]]:
    """Every method and address that names a job."""
    found = []
    values = {"title": "clip", "language": "es", "track": "es", "path": "report.json", "utterance_id": "0001"}
    for path, operations in caller.get("/v1/openapi.json").json()["paths"].items():
        if "{job_id}" in path:
            url = path.replace("{job_id}", job_id)
            for name, value in values.items():
                url = url.replace("{" + name + "}", value)
            found += [(method, url) for method in operations if method != "parameters"]
    assert len(found) > 10
    return found


def answers(caller: TestClient, job_id: str) -> dict[tuple[str, str], tuple[int, str]]:
    said = {}
    for method, url in routes(caller, job_id):
        response = caller.request(method, url, json=BODIES.get(method))
        said[method, url.replace(job_id, "JOB")] = response.status_code, response.text.replace(job_id, "JOB")
    return said


def test_another_tenants_job_looks_as_if_it_did_not_exist(api: Installation, theirs: str) -> None:
    caller = api.caller()
    before = [(job.state, job.events) for job in api.jobs()]
    seen = answers(caller, theirs)
    assert seen == answers(caller, "job_" + "0" * 32)
    assert {status for status, _ in seen.values()} <= {404, 422}, seen
    assert sum(status == 404 for status, _ in seen.values()) > 10
    assert [(job.state, job.events) for job in api.jobs()] == before


def test_lists_hold_the_callers_jobs_only(api: Installation, theirs: str) -> None:
    assert api.caller().get("/v1/jobs").json()["items"] == []
    assert api.caller().get("/v1/jobs", params={"name": "theirs"}).json()["items"] == []


def test_admin_sees_all(api: Installation, theirs: str) -> None:
    admin = api.caller("admin")
    assert [job["id"] for job in admin.get("/v1/jobs").json()["items"]] == [theirs]
    assert admin.get(f"/v1/jobs/{theirs}").json()["name"] == "theirs"
    assert admin.get(f"/v1/jobs/{theirs}/report", headers={"Accept": "application/json"}).status_code != 403


@pytest.mark.parametrize(
    "job_id",
    [
        "job_1",
        "job_" + "0" * 31,
        "' OR 1=1 --",
        "..%2f..%2f",
        "job_%00",
        "%0d%0aSet-Cookie:%20a=b",
        "job_" + "é" * 32,
        "x" * 9000,
    ],
)
def test_ids_that_are_none(api: Installation, job_id: str) -> None:
    response = api.caller().get(f"/v1/jobs/{job_id}")
    assert problem(response, 404) == "not_found"
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    "path",
    [
        "../../counterdub.db",
        "..%2f..%2fcounterdub.db",
        "%2e%2e/%2e%2e/counterdub.db",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "report.json%2f..%2f..%2fcounterdub.db",
    ],
)
def test_path_traversal_in_files_of_a_job(api: Installation, theirs: str, path: str) -> None:
    response = api.caller("admin").get(f"/v1/jobs/{theirs}/files/{path}")
    assert response.status_code in (404, 405), response.text
    assert "SQLite" not in response.text and "root:" not in response.text
