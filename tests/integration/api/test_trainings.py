"""Trainings are asked for, listed, stopped and forgotten, and belong to whoever asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from services.api.auth.keys import Limits, create_key
from shared.ledger.tables import Artifact, Event, Job, StageRun
from shared.ledger.training_tables import Training, TrainingPoint
from shared.queue.training_notes import MetricPoint, note_files, note_points
from tests.integration.api.harness import Api, make_api
from tests.integration.api.trained import at_work, begin, count, done, stored
from trainer import recipe


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client()


def test_a_training_of_a_finished_job(any_api: Api) -> None:
    client, job = any_api.client(), done(any_api)
    answer = client.post(
        "/v1/trainings",
        json={
            "recipe": "tiny-en",
            "jobs": [job],
            "set": {"optimiser.steps": 50, "data": {"batch_size": 8}},
            "name": "Erste",
        },
    )
    assert answer.status_code == 201, answer.text
    training = answer.json()
    assert answer.headers["location"] == f"/v1/trainings/{training['id']}" == training["links"]["self"]
    assert training["set"] == {"optimiser": {"steps": 50}, "data": {"batch_size": 8}}
    known = {"name": "Erste", "state": "running", "phase": "queued", "recipe": "tiny-en", "jobs": [job], "step": 0}
    assert {name: training[name] for name in known} == known
    assert client.get(answer.headers["location"]).json() == training
    with any_api.database.read() as session:
        run = session.scalars(select(StageRun)).one()
        assert (run.queue, run.state, run.task) == ("trainer", "ready", "train")
    assert [item["id"] for item in client.get("/v1/jobs").json()["items"]] == [job], "it is no job"
    stats = client.get("/v1/stats").json()
    assert (stats["jobs"], stats["pairs_accepted"]) == ({"done": 1}, 4)
    assert client.get(f"/v1/jobs/{training['id']}").status_code == 404


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"recipe": "nonesuch"}, 422, "unknown_recipe"),
        ({"recipe": "/etc/passwd.toml"}, 422, "unknown_recipe"),
        ({"recipe": "_tiny"}, 422, "unknown_recipe"),
        ({"set": {"optimiser.rate": -1}}, 422, "bad_setting"),
        ({"set": {"optimiser": {"nonesuch": 1}}}, 422, "bad_setting"),
        ({"set": {"model.initial": "/etc/passwd"}}, 422, "bad_setting"),
        ({"set": {"model": {"initial": "x"}}}, 422, "bad_setting"),
        ({"set": {"running.device": "cuda"}}, 422, "bad_setting"),
        ({"set": {"data.feed": "other"}}, 422, "bad_setting"),
        ({"set": {"data": 3}}, 422, "bad_setting"),
        ({"set": {"name": "x"}}, 422, "bad_setting"),
        ({"set": {"optimiser": 3, "optimiser.steps": 4}}, 422, "bad_setting"),
        ({"set": {"optimiser.steps": None}}, 422, "bad_setting"),
        ({"set": {"optimiser.steps": {"a": []}}}, 422, "bad_setting"),
        ({"set": {"a=b\n[x]": 1}}, 422, "bad_setting"),
        ({"set": {"data.primary": "\x00"}}, 422, "bad_request"),
        ({"jobs": []}, 422, "bad_request"),
        ({"when": {"accepted_pairs": 3}}, 422, "bad_request"),
        ({"jobs": [], "when": {"accepted_pairs": 0}}, 422, "bad_request"),
        ({"jobs": [], "when": {"accepted_pairs": 3, "languages": ["klingonese"]}}, 422, "unknown_language"),
        ({"jobs": ["job_1"]}, 422, "bad_request"),
        ({"jobs": ["job_" + "0" * 32]}, 404, "not_found"),
        ({"initial": "trn_" + "0" * 32}, 404, "not_found"),
        ({"name": "nul\x00"}, 422, "bad_request"),
        ({"unknown": 1}, 422, "bad_request"),
    ],
)
def test_a_wrong_request_says_what_is_wrong_and_leaves_nothing(
    api: Api, client: TestClient, change: dict[str, Any], status: int, code: str
) -> None:
    body = {"recipe": "tiny-en", "jobs": [done(api)], **change}
    answer = client.post("/v1/trainings", json=body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert count(api) == 0


def test_jobs_must_have_pairs(api: Api, client: TestClient) -> None:
    for job, status, code in (
        (api.job(), 409, "job_running"),
        (done(api, 0), 422, "empty_dataset"),
        (api.job(state="failed"), 422, "empty_dataset"),
    ):
        answer = client.post("/v1/trainings", json={"recipe": "tiny-en", "jobs": [job]})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert count(api) == 0


def test_what_a_request_may_set_reaches_the_recipe_unchanged() -> None:
    from trainer.service import recipe_orders

    wanted = {
        "data.primary": 'a"b\\c\U0001f600ü\n\x7f=[x]',
        "optimiser.rate": 1e-5,
        "optimiser.betas": [0.8, 0.9],
        "running.precision": "fp32",
    }
    tables = recipe_orders.checked("tiny-en", {**wanted, "model": {"head.shared": False}})
    made = recipe.load_recipe("tiny-en", recipe_orders.arguments(tables))
    assert made.data.primary == wanted["data.primary"]
    assert (made.optimiser.rate, made.optimiser.betas, made.model.head.shared) == (1e-5, (0.8, 0.9), False)


def test_recipes_are_listed(client: TestClient) -> None:
    found = {item["name"]: item["description"] for item in client.get("/v1/recipes").json()}
    assert set(found) == set(recipe.names()) and "tiny-en" in found
    assert all(found.values())


def test_the_same_key_makes_one_training(any_api: Api) -> None:
    client, job = any_api.client(), done(any_api)
    body = {"recipe": "tiny-en", "jobs": [job]}
    headers = {"Idempotency-Key": "once"}
    first, again = (client.post("/v1/trainings", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, first.json(), first.headers["location"]) == (
        again.status_code,
        again.json(),
        again.headers["location"],
    )
    assert count(any_api) == 1
    other = client.post("/v1/trainings", json={**body, "name": "x"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_lists_in_pages_and_by_filters(any_api: Api) -> None:
    client, job = any_api.client(), done(any_api)
    made = [begin(client, job)["id"] for _ in range(5)]
    waiting = begin(client, when={"accepted_pairs": 100})["id"]
    assert client.post(f"/v1/trainings/{made[0]}:cancel").json()["state"] == "cancelled"
    seen, cursor = [], None
    while True:
        page = client.get("/v1/trainings", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [waiting, *reversed(made)]
    states = {
        state: client.get("/v1/trainings", params={"state": state}).json()["items"]
        for state in ("waiting", "cancelled")
    }
    assert {state: [item["id"] for item in items] for state, items in states.items()} == {
        "waiting": [waiting],
        "cancelled": [made[0]],
    }
    assert client.get("/v1/trainings", params={"from_job": job}).json()["items"] == []
    assert client.get("/v1/trainings", params={"cursor": "x"}).json()["code"] == "bad_cursor"


def test_one_that_waits_tells_for_what_and_begins_with_all_jobs_that_have_it(api: Api, client: TestClient) -> None:
    es, fr = done(api, es=3), done(api, fr=3)
    waiting = begin(client, when={"accepted_pairs": 4, "languages": ["Spanish", "es"]})
    assert (waiting["state"], waiting["when"]) == ("waiting", {"accepted_pairs": 4, "languages": ["es"]})
    both = begin(client, when={"accepted_pairs": 4, "languages": ["es", "fr"]})
    assert (both["state"], both["jobs"]) == ("running", [es, fr])
    one = begin(client, when={"accepted_pairs": 3, "languages": ["fr"]})
    assert (one["state"], one["jobs"]) == ("running", [fr])


def test_an_ended_training_is_forgotten(any_api: Api) -> None:
    client = any_api.client()
    training = begin(client, done(any_api))["id"]
    run = at_work(any_api)
    note_points(any_api.database, run, "w", [MetricPoint(1, "train", {"step": 1})], 0.1, aloud=True)
    note_files(any_api.database, run, "w", {"checkpoint.pt": stored(any_api, "checkpoint.pt", "x")}, 1)
    address = f"/v1/trainings/{training}"
    assert (client.delete(address).status_code, client.delete(address).json()["code"]) == (409, "job_running")
    with any_api.database.write() as session:
        session.get_one(Job, training).state = "failed"
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404
    with any_api.database.read() as session:
        for table in (Training, TrainingPoint, StageRun, Artifact):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        assert session.scalar(select(func.count()).select_from(Event).where(Event.job_id == training)) == 0


@pytest.fixture
def closed(tmp_path: Path) -> Api:
    """An API that wants keys."""
    return make_api(tmp_path, keys_required=True)


def test_another_callers_training_looks_as_if_it_did_not_exist(closed: Api) -> None:
    mine, theirs = (closed.key() for _ in range(2))
    job = done(closed, key_id=theirs[0])
    training = begin(closed.client(theirs[1]), job)["id"]
    run = at_work(closed)
    note_files(closed.database, run, "w", {"checkpoint.pt": stored(closed, "checkpoint.pt", "secret")}, 1)
    caller = closed.client(mine[1])
    nobody = "trn_" + "0" * 32
    addresses = ["", "/events", "/metrics", "/files", "/files/checkpoint.pt"]
    for method, path in [
        *(("GET", path) for path in addresses),
        ("POST", ":cancel"),
        ("POST", ":resume"),
        ("DELETE", ""),
    ]:
        seen = [caller.request(method, f"/v1/trainings/{one}{path}") for one in (training, nobody)]
        assert [answer.status_code for answer in seen] == [404, 404], (method, path)
        assert seen[0].text == seen[1].text
    assert caller.get("/v1/trainings").json()["items"] == []
    stolen = caller.post("/v1/trainings", json={"recipe": "tiny-en", "jobs": [job]})
    assert stolen.status_code == 404
    weights = {"recipe": "tiny-en", "jobs": [done(closed, key_id=mine[0])], "initial": training}
    assert caller.post("/v1/trainings", json=weights).status_code == 404
    assert begin(caller, when={"accepted_pairs": 5})["state"] == "waiting", "others' pairs do not count"
    reader = closed.client(closed.key("jobs:read")[1])
    assert reader.post("/v1/trainings", json=weights).status_code == 403
    assert closed.client().get("/v1/recipes").status_code == 401


def test_trainings_count_as_open_jobs_and_as_many_may_wait(closed: Api) -> None:
    key_id, secret = create_key(closed.database, "small", ["jobs:read", "jobs:write"], Limits(max_open_jobs=1))
    caller, job = closed.client(secret), done(closed, key_id=key_id)
    begin(caller, when={"accepted_pairs": 100})
    ours = begin(caller, job)["id"]
    for body in ({"jobs": [job]}, {"when": {"accepted_pairs": 100}}):
        answer = caller.post("/v1/trainings", json={"recipe": "tiny-en", **body})
        assert (answer.status_code, answer.json()["code"]) == (429, "quota_jobs")
    caller.post(f"/v1/trainings/{ours}:cancel")
    begin(caller, job)
    assert caller.post(f"/v1/trainings/{ours}:resume").json()["code"] == "quota_jobs"


def test_trainings_have_their_own_metric(client: TestClient, api: Api) -> None:
    begin(client, done(api))
    text = client.get("/metrics").text
    assert 'counterdub_jobs{state="done"} 1.0' in text
    assert 'counterdub_trainings{state="running"} 1.0' in text
