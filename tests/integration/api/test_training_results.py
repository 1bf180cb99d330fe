"""What a training tells while it runs and leaves behind: events, metrics, files."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from httpx_sse import connect_sse

from shared.core.errors import Cancelled
from shared.queue.scheduling.claims import fail
from shared.queue.training_notes import MetricPoint, note_files, note_phase, note_points
from tests.integration.api.harness import Api, serving
from tests.integration.api.trained import at_work, begin, done, stored


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client()


def test_events_are_streamed_replayed_and_end(any_api: Api) -> None:
    client = any_api.client()
    training = begin(client, done(any_api))["id"]
    run = at_work(any_api)
    with serving(any_api) as url, ThreadPoolExecutor() as pool:
        stream = pool.submit(listen, f"{url}/v1/trainings/{training}/events")
        note_phase(any_api.database, run, "w", "training", processes=1)
        for step in range(1, 4):
            note_points(
                any_api.database, run, "w", [MetricPoint(step, "train", {"step": step, "loss": 1.0})], 0.1, aloud=True
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
    lines = [MetricPoint(step, "train", {"step": step, "loss": 1 / step, "nothing": None}) for step in range(1, 11)]
    lines += [MetricPoint(step, "validation", {"step": step, "held_out": 4, "r1/audio-video": 0.5}) for step in (5, 10)]
    note_points(any_api.database, run, "w", lines, 0.5, aloud=False)
    note_points(any_api.database, run, "other", [MetricPoint(11, "train", {"step": 11})], 0.9, aloud=True)
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
    note_points(any_api.database, run, "w", [MetricPoint(8, "train", {"step": 8, "loss": 9.0})], 0.5, aloud=False)
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
