"""Jobs are listed, stopped and forgotten, and belong to whoever asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.ledger.tables import Event, Job
from tests.integration.api.asking import ask, count
from tests.integration.api.harness import Api, make_api


def test_pages_hold_every_job_once_in_order_even_while_new_ones_come(any_api: Api) -> None:
    client = any_api.client()
    made = [any_api.job() for _ in range(23)]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with any_api.database.write() as session:
        # Some at the same instant.
        for number, job_id in enumerate(made):
            session.get_one(Job, job_id).created = at + timedelta(microseconds=number // 5)
    seen: list[str] = []
    cursor = None
    while True:
        page = client.get("/v1/jobs", params={"limit": 4, **({"cursor": cursor} if cursor else {})}).json()
        seen += [job["id"] for job in page["items"]]
        any_api.job()
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == 23 == len(set(seen)) and set(seen) == set(made)
    instants = [
        datetime.fromisoformat(job["created"]) for job in client.get("/v1/jobs", params={"limit": 500}).json()["items"]
    ]
    assert instants == sorted(instants, reverse=True)


def test_filters_apply_together(any_api: Api) -> None:
    client = any_api.client()
    done, failed = any_api.job(state="done"), any_api.job(state="failed")
    with any_api.database.write() as session:
        session.get_one(Job, done).name = "Ein 100%er Film"
        session.get_one(Job, failed).name = "Ein 100ster Film"

    def ids(**params: Any) -> list[str]:
        answer = client.get("/v1/jobs", params=params)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()["items"]]

    assert ids(state="done") == [done] and ids(state=["done", "failed"]) == [failed, done]
    assert ids(name="100%ER") == [done] and ids(name="100") == [failed, done] and ids(name="_") == []
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert ids(created_from=later) == [] and ids(created_before=later, state="failed") == [failed]
    for params in ({"state": "lost"}, {"cursor": "!"}, {"cursor": "WyJhIl0"}, {"limit": 0}, {"created_from": "soon"}):
        assert client.get("/v1/jobs", params=params).status_code == 422, params


def test_cancel_and_delete(any_api: Api) -> None:
    client = any_api.client()
    job = ask(client, "x").json()["id"]
    running = client.delete(f"/v1/jobs/{job}")
    assert (running.status_code, running.json()["code"]) == (409, "job_running")
    stopped = client.post(f"/v1/jobs/{job}:cancel")
    assert stopped.status_code == 202 and stopped.json()["state"] in ("cancelling", "cancelled")
    assert client.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert client.post(f"/v1/jobs/{job}:cancel").status_code == 409
    assert client.post(f"/v1/jobs/{job}:retry").json()["state"] == "running"
    client.post(f"/v1/jobs/{job}:cancel")
    assert client.delete(f"/v1/jobs/{job}").status_code == 204
    assert client.get(f"/v1/jobs/{job}").status_code == 404
    assert count(any_api, Event) == 0


def test_every_address_of_another_callers_job_is_not_there(tmp_path: Path, results: dict[str, Path]) -> None:
    api = make_api(tmp_path, keys_required=True)
    mine, my_key = api.key()
    _, other_key = api.key()
    job = api.job(mine, state="done", titles=("kitchen",))
    api.publish(job, results)
    assert api.client().get("/v1/jobs").status_code == 401
    owner, stranger = api.client(my_key), api.client(other_key)
    assert owner.get(f"/v1/jobs/{job}").status_code == 200
    assert [item["id"] for item in owner.get("/v1/jobs").json()["items"]] == [job]
    assert stranger.get("/v1/jobs").json()["items"] == []
    assert stranger.get("/v1/stats").json()["jobs"] == {} and owner.get("/v1/stats").json()["jobs"] == {"done": 1}
    parts = ["", "/events", "/events?format=json", "/titles", "/titles/kitchen", "/shots", "/utterances/es"]
    parts += ["/tracks/es", "/files", "/files/pairs.parquet", "/pairs", "/report"]
    for part in parts:
        assert stranger.get(f"/v1/jobs/{job}{part}").status_code == 404, part
    for part in (":cancel", ":retry"):
        assert stranger.post(f"/v1/jobs/{job}{part}").status_code == 404
    text = {"text": "x"}
    assert stranger.patch(f"/v1/jobs/{job}/utterances/es/u0001", json=text).status_code == 404
    assert stranger.patch(f"/v1/utterances/{job}.kitchen.es.u0001", json=text).status_code == 404
    assert stranger.delete(f"/v1/jobs/{job}").status_code == 404
    assert stranger.head(f"/v1/jobs/{job}/tracks/es").status_code == 404
    assert owner.get(f"/v1/jobs/{job}").status_code == 200
    assert owner.get("/metrics").status_code == 403
    assert api.client(api.key("jobs:read")[1]).post("/v1/jobs", json={}).status_code == 403
    api.database.close()
