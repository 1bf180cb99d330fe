"""Trainings are asked for, listed, followed, stopped and forgotten, and belong to whoever asked."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx_sse import connect_sse
from sqlalchemy import func, select

from services.api.keys import Limits, create_key
from shared.errors import Cancelled
from shared.jobs.claims import claim, fail
from shared.jobs.tables import Artifact, Event, Job, StageRun
from shared.jobs.training_notes import Point, note_files, note_phase, note_points
from shared.jobs.training_tables import Training, TrainingPoint
from shared.store import Blob
from tests.api.harness import Api, make_api, serving
from trainer import recipe


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client()


def done(api: Api, accepted: int = 4, key_id: str | None = None, **tracks: int) -> str:
    """A job with pairs."""
    job = api.job(key_id, state="done")
    with api.database.write() as session:
        session.get_one(Job, job).summary = {"accepted": accepted, "rejected": 1, "tracks": tracks}
    return job


def begin(client: TestClient, *jobs: str, **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/trainings", json={"recipe": "tiny-en", "jobs": list(jobs), **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def count(api: Api, table: Any = Training) -> int:
    with api.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def at_work(api: Api) -> int:
    """A worker called w takes the oldest training; its task."""
    claimed = claim(api.database, "w", "trainer")
    assert claimed is not None
    return claimed.run


def stored(api: Api, name: str, content: str) -> Blob:
    with api.store.workspace() as folder:
        (folder / name).write_text(content)
        return api.store.add(name, folder / name, move=True)


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
    from trainer.queue import orders

    wanted = {
        "data.primary": 'a"b\\c\U0001f600ü\n\x7f=[x]',
        "optimiser.rate": 1e-5,
        "optimiser.betas": [0.8, 0.9],
        "running.precision": "fp32",
    }
    tables = orders.checked("tiny-en", {**wanted, "model": {"head.shared": False}})
    made = recipe.load_recipe("tiny-en", orders.arguments(tables))
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


def test_events_are_streamed_replayed_and_end(any_api: Api) -> None:
    client = any_api.client()
    training = begin(client, done(any_api))["id"]
    run = at_work(any_api)
    with serving(any_api) as url, ThreadPoolExecutor() as pool:
        stream = pool.submit(listen, f"{url}/v1/trainings/{training}/events")
        note_phase(any_api.database, run, "w", "training", processes=1)
        for step in range(1, 4):
            note_points(
                any_api.database, run, "w", [Point(step, "train", {"step": step, "loss": 1.0})], 0.1, aloud=True
            )
        cancel = client.post(f"/v1/trainings/{training}:cancel")
        assert (cancel.status_code, cancel.json()["state"]) == (202, "cancelling")
        fail(any_api.database, any_api.store, run, "w", Cancelled(), 3)
        kinds = stream.result(20)
        assert client.get(f"/v1/trainings/{training}/events", headers={"Last-Event-ID": "8"}).status_code == 204
        page = client.get(f"/v1/trainings/{training}/events", params={"format": "json", "after": 3, "limit": 2}).json()
        assert [item["seq"] for item in page["items"]] == [4, 5] and page["after"] == 5
        resumed = client.post(f"/v1/trainings/{training}:resume")
        assert (resumed.status_code, resumed.json()["state"]) == (202, "running")
        again = client.post(f"/v1/trainings/{training}:resume")
        assert (again.status_code, again.json()["code"]) == (409, "job_running")
    progress = ["training_progress"] * 3
    assert kinds == [
        *("training_created", "task_started", "training_phase", *progress, "training_cancelling"),
        "training_cancelled",
    ]


def listen(url: str) -> list[str]:
    import httpx

    with httpx.Client(timeout=20) as http, connect_sse(http, "GET", url) as source:
        return [item.event for item in source.iter_sse()]


def test_metrics_since_a_step_by_kind_and_as_lines(any_api: Api) -> None:
    client = any_api.client()
    training = begin(client, done(any_api))["id"]
    run = at_work(any_api)
    lines = [Point(step, "train", {"step": step, "loss": 1 / step, "nothing": None}) for step in range(1, 11)]
    lines += [Point(step, "validation", {"step": step, "held_out": 4, "r1/audio-video": 0.5}) for step in (5, 10)]
    note_points(any_api.database, run, "w", lines, 0.5, aloud=False)
    note_points(any_api.database, run, "other", [Point(11, "train", {"step": 11})], 0.9, aloud=True)
    address = f"/v1/trainings/{training}/metrics"
    everything = client.get(address).json()
    assert everything["next"] is None and len(everything["items"]) == 12
    since = client.get(address, params={"since": 9}).json()["items"]
    assert [(item["step"], item["kind"]) for item in since] == [(9, "train"), (10, "train"), (10, "validation")]
    assert since[0]["values"] == {"step": 9, "loss": 1 / 9, "nothing": None}
    pages, cursor = [], ""
    while cursor is not None:
        page = client.get(address, params={"limit": 5, **({"cursor": cursor} if cursor else {})}).json()
        pages.append(page["items"])
        cursor = page["next"]
    assert [len(page) for page in pages] == [5, 5, 2]
    assert [item for page in pages for item in page] == everything["items"]
    assert len(client.get(address, params={"kind": "validation"}).json()["items"]) == 2
    text = client.get(address, headers={"Accept": "application/x-ndjson"})
    assert text.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in text.text.splitlines()] == [item["values"] for item in everything["items"]]
    # Going on from step 7, what came after it is written again.
    note_points(any_api.database, run, "w", [Point(8, "train", {"step": 8, "loss": 9.0})], 0.5, aloud=False)
    assert client.get(address, params={"since": 8}).json()["items"][0]["values"]["loss"] == 9.0
    shown = client.get(f"/v1/trainings/{training}").json()
    assert (shown["progress"], shown["latest"]["r1/audio-video"]) == (0.5, 0.5)


def test_files_of_a_running_training(api: Api, client: TestClient) -> None:
    training = begin(client, done(api))["id"]
    run = at_work(api)
    assert client.get(f"/v1/trainings/{training}/files/checkpoint.pt").json()["code"] == "not_ready"
    first = stored(api, "checkpoint.pt", "weights at 4")
    beside = {
        "curves.html": stored(api, "curves.html", "<svg></svg>"),
        "recipe.toml": stored(api, "recipe.toml", "a = 1"),
    }
    assert note_files(api.database, run, "w", {"checkpoint.pt": first, **beside}, 4) is None
    shown = client.get(f"/v1/trainings/{training}").json()["checkpoint"]
    assert (shown["step"], shown["bytes"]) == (4, 12)
    answer = client.get(shown["href"], headers={"Range": "bytes=8-"})
    assert (answer.status_code, answer.text) == (206, "at 4")
    listed = client.get(f"/v1/trainings/{training}/files").json()
    assert [item["path"] for item in listed] == ["checkpoint.pt", "curves.html", "recipe.toml"]
    curves = client.get(listed[1]["href"])
    policy = curves.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "script" not in policy
    second = stored(api, "checkpoint.pt", "weights at 8")
    assert note_files(api.database, run, "w", {"checkpoint.pt": second}, 8) == first, "it can go"
    other = begin(client, done(api), initial=training)
    assert other["initial"] == training
    third = stored(api, "checkpoint.pt", "weights at 9")
    assert note_files(api.database, run, "w", {"checkpoint.pt": third}, 9) is None, "another one starts from it"
    assert client.get(shown["href"]).text == "weights at 9"
    early = client.post("/v1/trainings", json={"recipe": "tiny-en", "jobs": [done(api)], "initial": other["id"]})
    assert (early.status_code, early.json()["code"]) == (409, "no_checkpoint")


def test_an_ended_training_is_forgotten(any_api: Api) -> None:
    client = any_api.client()
    training = begin(client, done(any_api))["id"]
    run = at_work(any_api)
    note_points(any_api.database, run, "w", [Point(1, "train", {"step": 1})], 0.1, aloud=True)
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
