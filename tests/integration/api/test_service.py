"""What the service says about itself, and lines that people rewrite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.api.http.problems import PHRASES, STATUS
from shared.core.errors import StorageError
from shared.core.records import Utterance, write_jsonl
from shared.ledger.tables import Edit, Job, StageRun, Title, Worker
from tests.integration.api.harness import Api, make_api, serving
from tests.integration.queue.conftest import valkey_server


def test_ready_only_while_database_broker_and_store_answer(tmp_path: Path) -> None:
    with valkey_server(tmp_path / "valkey") as valkey:
        api = make_api(tmp_path, broker_url=f"redis://127.0.0.1:{valkey.port}/0")
        client = api.client()
        assert client.get("/healthz").json()["status"] == "ok"
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["checks"] == {"database": "ok", "broker": "ok", "store": "ok"}
    away = client.get("/readyz")
    assert away.status_code == 503 and away.json()["checks"]["broker"] == "does not answer"
    assert client.get("/healthz").status_code == 200
    api.database.close()


def test_a_password_of_the_broker_is_never_shown(tmp_path: Path) -> None:
    api = make_api(tmp_path, broker_url="redis://:hunter2@127.0.0.1:1/0")
    assert "hunter2" not in api.client().get("/readyz").text
    api.database.close()


def run_of(job: str, title: int, task: str, **values: object) -> StageRun:
    stage = task.partition("/")[0]
    return StageRun(job_id=job, title_id=title, title="clip", task=task, stage=stage, queue=stage, **values)


def test_metrics_count_what_the_database_holds(any_api: Api) -> None:
    job = any_api.job(state="done")
    with any_api.database.write() as session:
        (title,) = session.query(Title).all()
        title.seconds = 61.5
        session.add_all(
            [
                run_of(job, title.id, "ingest", state="done", seconds=2.5),
                run_of(job, title.id, "separation/0000", state="done", computed=1, seconds=4, engine_seconds=3),
                run_of(job, title.id, "separation/0001", state="ready"),
                run_of(job, title.id, "separation/0002", state="running"),
                run_of(job, title.id, "separation/0003", state="waiting"),
                run_of(job, title.id, "dubbing/es/0000", state="failed", error={"code": "engine_failed"}),
                Worker(id="w", queues=["separation"], host="h", pid=1),
            ]
        )
    text = any_api.client().get("/metrics").text
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["counterdub_tasks_ready", ("queue", "separation")] == 1
    assert found["counterdub_tasks_running", ("queue", "separation")] == 1
    assert found["counterdub_tasks_waiting", ("queue", "separation")] == 1
    assert found["counterdub_stage_seconds_total", ("stage", "separation")] == 4
    assert found["counterdub_engine_seconds_total", ("stage", "separation")] == 3
    assert found["counterdub_failures_total", ("code", "engine_failed"), ("stage", "dubbing")] == 1
    assert found["counterdub_audio_seconds_done_total",] == 61.5
    assert found["counterdub_workers", ("state", "alive")] == 1
    assert found["counterdub_jobs", ("state", "done")] == 1


def test_stats_sum_the_callers_jobs(any_api: Api) -> None:
    for state in ("done", "done", "failed"):
        job = any_api.job(state=state)
        with any_api.database.write() as session:
            session.get_one(Job, job).summary = {"accepted": 7, "rejected": 3} if state == "done" else {}
    stats = any_api.client().get("/v1/stats").json()
    assert stats["jobs"] == {"done": 2, "failed": 1} == stats["titles"]
    assert (stats["pairs_accepted"], stats["pairs_rejected"]) == (14, 6)


def test_engines_and_languages_are_listed(api: Api) -> None:
    client = api.client()
    engines = client.get("/v1/engines").json()
    assert {("separator", "spleeter"), ("synthesizer", "kokoro")} <= {(item["kind"], item["name"]) for item in engines}
    languages = {item["code"]: item for item in client.get("/v1/languages").json()}
    assert languages["es"] == {"code": "es", "name": "Spanish", "native_name": "español"} and len(languages) > 150


@pytest.fixture
def dubbed(api: Api, tmp_path: Path) -> str:
    """An ended job whose title has the utterance u0001."""
    job = api.job(state="done")
    line = Utterance(id="u0001", start=0, end=1, language="en", text="Who is there?")
    with api.store.workspace() as folder:
        write_jsonl(folder / "utterances.jsonl", [line])
        blob = api.store.add("utterances.jsonl", folder / "utterances.jsonl", move=True)
    outputs = {"utterances.jsonl": {"name": blob.name, "sha256": blob.sha256, "size": blob.size}}
    with api.database.write() as session:
        (title,) = session.query(Title).all()
        title.video = outputs["utterances.jsonl"]
        session.add(run_of(job, title.id, "speakers", state="done", outputs=outputs))
    return job


@pytest.mark.parametrize("address", ["jobs/{}/utterances/es/u0001", "utterances/{}.clip.es.u0001"])
def test_another_text_for_a_line_puts_the_job_back_to_work(api: Api, dubbed: str, address: str) -> None:
    client = api.client()
    answer = client.patch(f"/v1/{address.format(dubbed)}", json={"text": "¿Quién anda ahí?"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "running"
    with api.database.read() as session:
        assert [edit.text for edit in session.query(Edit)] == ["¿Quién anda ahí?"]
    events = client.get(f"/v1/jobs/{dubbed}/events", params={"format": "json"}).json()["items"]
    assert "line_edited" in [event["kind"] for event in events]
    again = client.patch(f"/v1/{address.format(dubbed)}", json={"text": "x"})
    assert (again.status_code, again.json()["code"]) == (409, "job_running")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("utterances/{}.clip.es.u0099", 404),
        ("utterances/{}.clip.de.u0001", 422),
        ("utterances/{}.other.es.u0001", 404),
        ("utterances/nonsense", 404),
        ("jobs/{}/utterances/klingon/u0001", 422),
    ],
)
def test_lines_that_are_not_there_are_problems(api: Api, dubbed: str, address: str, status: int) -> None:
    answer = api.client().patch(f"/v1/{address.format(dubbed)}", json={"text": "x"})
    assert answer.status_code == status, answer.text


def test_everything_that_goes_wrong_is_a_problem_with_safe_headers(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    client = api.client()
    for method, path, status in (
        ("GET", "/v1/jobs/job_x", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/jobs", 405),
        ("GET", "/v1/jobs?limit=x", 422),
        ("GET", "/v1/jobs/%00", 404),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json", path
        assert answer.json()["status"] == status and answer.json()["code"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert set(STATUS.values()) <= set(PHRASES)


def test_a_bug_is_a_problem_that_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise RuntimeError("secret at /some/path")

    monkeypatch.setattr("services.api.routes.jobs.current", bug)
    with serving(api) as url:
        answer = httpx.get(f"{url}/v1/jobs/job_{'0' * 32}")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text and "path" not in json.dumps(answer.json()["detail"])


def test_a_database_whose_disk_is_full(api: Api) -> None:
    from sqlalchemy import event

    client = api.client()
    assert client.get("/readyz").json()["checks"]["database"] == "ok"

    def bounded(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # As many as there are, that is.

    event.listen(api.database.engine, "connect", bounded)
    api.database.engine.dispose()
    api.here.probe._until = 0.0
    body = {"sources": [{"url": "https://example.org/a.mp4", "name": "n" * 200}] * 500, "languages": ["es"]}
    refused = client.post("/v1/jobs", json=body)
    assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")
    assert not any(word in refused.json()["detail"] for word in ("output folder", "command"))
    event.remove(api.database.engine, "connect", bounded)
    api.database.engine.dispose()
    assert client.post("/v1/jobs", json=body).status_code == 202


def test_not_ready_while_nothing_can_be_written(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    client = api.client()

    def full() -> Any:
        raise StorageError("full", code="disk_full", retryable=True, part="database")

    monkeypatch.setattr(api.database, "write", full)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "disk_full")
