"""Jobs come in by every door, are listed, stopped and forgotten, and belong to whoever asked."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from services.api import idempotency, jobs, multipart
from shared.jobs.tables import Event, Idempotency, Job, Title, now
from shared.store import Blob
from tests.api.harness import Api, make_api, serving


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client()


FORM = "multipart/form-data; boundary=x"
BROKEN_OFF = b'--x\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\nabc'


def video(name: str = "Mein Film.mp4", content: bytes = b"a video") -> tuple[str, tuple[str, bytes]]:
    return "video", (name, content)


def count(api: Api, table: Any = Job) -> int:
    with api.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_videos_sent_with_the_request_become_titles_of_a_job(api: Api, client: TestClient) -> None:
    answer = client.post(
        "/v1/jobs",
        files=[video(), video("second.mkv", b"another")],
        data={"languages": "es, French", "settings": '{"pairing": {"min_shot_seconds": 1.5}}', "name": "Zwei"},
    )
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["languages"], job["name"], job["state"]) == (["es", "fr"], "Zwei", "running")
    assert client.get(answer.headers["location"]).json()["progress"]["titles"] == 2
    with api.database.read() as session:
        row = session.get_one(Job, job["id"])
        assert row.settings["pairing"]["min_shot_seconds"] == 1.5
        titles = list(session.scalars(select(Title).order_by(Title.position)))
    assert [title.source_name for title in titles] == ["Mein Film.mp4", "second.mkv"]
    assert api.store.fetch(Blob(**titles[0].video)).read_bytes() == b"a video"
    assert list((api.here.settings.data / "store" / "tmp").iterdir()) == []


@pytest.mark.parametrize("sent", ["file", "text"])
def test_a_transcript_comes_as_file_or_text(api: Api, client: TestClient, sent: str) -> None:
    text = "1\n00:00:00,000 --> 00:00:01,000\nHello"
    files, data = [video()], {"languages": "es"}
    if sent == "file":
        files.append(("transcript", ("a.srt", text.encode())))
    else:
        data["transcript"] = text
    assert client.post("/v1/jobs", files=files, data=data).status_code == 202
    with api.database.read() as session:
        title = session.scalars(select(Title)).one()
    assert api.store.fetch(Blob(**title.transcript)).read_text() == text
    several = client.post("/v1/jobs", files=[video(), *files], data=data)
    assert (several.status_code, several.json()["code"]) == (422, "transcript_needs_one_video")


def test_a_video_of_many_megabytes_is_streamed_to_disk(api: Api, client: TestClient) -> None:
    content = bytes(range(256)) * 4096 * 12
    assert client.post("/v1/jobs", files=[video(content=content)], data={"languages": "es"}).status_code == 202
    with api.database.read() as session:
        title = session.scalars(select(Title)).one()
    assert api.store.fetch(Blob(**title.video)).read_bytes() == content


def test_sources_by_url_bucket_path_and_upload(tmp_path: Path) -> None:
    api = make_api(tmp_path, allowed_paths=[tmp_path / "videos"], allowed_buckets=["films/new"])
    client = api.client()
    made = client.post(
        "/v1/uploads",
        content=b"uploaded",
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": "8", "Content-Type": "application/offset+octet-stream"},
    )
    assert made.status_code == 201, made.text
    sources = [
        {"url": "https://example.org/a%20b.mp4?x=1"},
        {"url": "s3://films/new/c.mp4", "name": "Named.mp4"},
        {"path": str(tmp_path / "videos" / "d.mp4"), "transcript": "WEBVTT\n\n00:00.000 --> 00:01.000\nHi"},
        {"upload": made.headers["location"].rpartition("/")[2], "name": "e.mp4"},
    ]
    answer = client.post("/v1/jobs", json={"sources": sources, "languages": ["ja"]})
    assert answer.status_code == 202, answer.text
    with api.database.read() as session:
        titles = list(session.scalars(select(Title).order_by(Title.position)))
    assert [title.source_name for title in titles] == ["a b.mp4", "Named.mp4", "d.mp4", "e.mp4"]
    assert [title.source_kind for title in titles] == ["url", "url", "path", "upload"]
    assert titles[2].transcript is not None
    assert api.store.fetch(Blob(**titles[3].video)).read_bytes() == b"uploaded"
    for source in ({"url": "s3://films/old/c.mp4"}, {"path": "/etc/passwd"}, {"url": "http://127.0.0.1/a.mp4"}):
        refused = client.post("/v1/jobs", json={"sources": [source], "languages": ["ja"]})
        assert refused.status_code == 422 and refused.json()["code"].endswith("_not_allowed"), source
    assert count(api) == 1
    api.database.close()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"languages": ["klingonese"]}, "unknown_language"),
        ({"languages": []}, "bad_request"),
        ({"profile": "nonesuch"}, "unknown_profile"),
        ({"settings": {"pairing": {"no_such": 1}}}, "bad_setting"),
        ({"settings": {"pairing": 3}}, "bad_setting"),
        ({"settings": {"store": {"url": "/etc"}}}, "bad_setting"),
        ({"settings": {"limits": {"max_seconds": 1e9}}}, "bad_setting"),
        ({"settings": {"dubbing": {"threads": 5000}}}, "bad_setting"),
        ({"settings": {"separation": {"engine": "scissors"}}}, "unknown_engine"),
        ({"then_train": "paper"}, "unknown_recipe"),
        ({"then_train": "/etc/recipe.toml"}, "unknown_recipe"),
        ({"webhook": {"url": "http://169.254.169.254/"}}, "url_not_allowed"),
        ({"webhook": {"url": "https://example.org/", "secret": "whsec_short"}}, "bad_webhook_secret"),
        ({"sources": []}, "bad_request"),
        ({"sources": [{"url": "https://a.org/x.mp4", "path": "/x"}]}, "bad_request"),
        ({"name": "nul\x00"}, "bad_request"),
        ({"settings": {"translation": {"glossary": {"a": "\x00"}}}}, "bad_request"),
        ({"unknown": 1}, "bad_request"),
    ],
)
def test_a_wrong_request_says_what_is_wrong_and_leaves_nothing(
    api: Api, client: TestClient, change: dict[str, Any], code: str
) -> None:
    body = {"sources": [{"url": "https://example.org/a.mp4"}], "languages": ["es"], **change}
    answer = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "code", "stage", "retryable"} <= answer.json().keys()
    assert count(api) == count(api, Idempotency) == 0


def test_a_recipe_to_train_with_afterwards_is_kept(client: TestClient) -> None:
    body = {"sources": [{"url": "https://example.org/a.mp4"}], "languages": ["es"], "then_train": "tiny-en"}
    assert client.post("/v1/jobs", json=body).json()["then_train"] == "tiny-en"


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"a": 1e999}', b"\xff", b'"\\ud800"', b"NaN", b"9" * 10_000])
def test_json_that_is_none_is_a_problem(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", FORM, 422),
        (b"", "multipart/form-data", 422),
        (b"--x\r\nnonsense", FORM, 422),
        (
            b'--x\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\nabc',
            FORM,
            422,
        ),
        (b"languages=es", "application/x-www-form-urlencoded", 415),
        (b"x", "", 415),
    ],
)
def test_broken_forms_and_other_bodies_are_refused(
    api: Api, client: TestClient, content: bytes, kind: str, status: int
) -> None:
    assert client.post("/v1/jobs", content=content, headers={"Content-Type": kind}).status_code == status
    assert list((api.here.settings.data / "store" / "tmp").iterdir()) == []


def test_forms_say_what_they_may_hold(client: TestClient) -> None:
    for files, data in (
        ([], {"languages": "es"}),
        ([("film", ("a.mp4", b"x"))], {"languages": "es"}),
        ([video(content=b"")], {"languages": "es"}),
        ([video()], {}),
        ([video()], {"languages": "es", "colour": "blue"}),
        ([video()], {"languages": "es", "settings": "{"}),
    ):
        answer = client.post("/v1/jobs", files=files or {"x": ("", b"")}, data=data)
        assert answer.status_code == 422, (files, data, answer.text)


def test_too_large_is_refused_before_it_is_all_here(tmp_path: Path) -> None:
    api = make_api(tmp_path, max_upload_bytes=2**20, max_request_bytes=1000)
    sent = 0

    def endless():
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
        while sent < 2**30:
            sent += 2**16
            yield b"0" * 2**16

    with serving(api) as url:
        try:
            answer = httpx.post(f"{url}/v1/jobs", content=endless(), headers={"Content-Type": FORM})
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        except httpx.WriteError:
            pass  # The server has said so and hung up while we were still talking.
        assert sent < 2**26
        large = httpx.post(f"{url}/v1/jobs", json={"languages": ["es" * 1000]})
        assert (large.status_code, large.json()["code"]) == (413, "too_large")
    assert list((tmp_path / "data" / "store" / "tmp").iterdir()) == []


def test_a_body_that_stands_still_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "STALLED_S", 0.2)
    api = make_api(tmp_path)
    go_on = threading.Event()

    def stalling():
        yield b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\nabc'
        go_on.wait(2)

    with serving(api) as url:
        answer = httpx.post(f"{url}/v1/jobs", content=stalling(), headers={"Content-Type": FORM})
        go_on.set()
    assert (answer.status_code, answer.json()["code"]) == (408, "upload_stalled")


def test_file_names_from_outside_are_only_labels(api: Api, client: TestClient) -> None:
    for name in ("../../etc/passwd", "C:\\a\\b.mp4", "a\nb.mp4", "…" * 300 + ".mp4", "..", "."):
        answer = client.post("/v1/jobs", files=[video(name)], data={"languages": "es"})
        assert answer.status_code == 202, (name, answer.text)
    with api.database.read() as session:
        for title in session.scalars(select(Title)):
            assert "/" not in title.source_name + title.name and title.source_name.isprintable()
            assert title.name.strip(".") and len(title.source_name) <= 255


def ask(client: TestClient, key: str, languages: tuple[str, ...] = ("es",)) -> httpx.Response:
    body = {"sources": [{"url": "https://example.org/a.mp4"}], "languages": list(languages)}
    return client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})


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
    def send(content: bytes = b"x") -> httpx.Response:
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
    from shared.errors import StorageError

    def away(*args: Any, **kwargs: Any) -> None:
        raise StorageError("The database does not answer.", code="database_away", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(jobs.requests, "create_job", away)
        failed = ask(client, "again")
        assert failed.status_code == 503 and failed.headers["retry-after"]
    assert ask(client, "again").status_code == 202


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


@pytest.mark.parametrize(
    "settings",
    [{"separation": {"model": "/etc/passwd"}}, {"dubbing": {"extra": {"allow_download": True}}}],
    ids=["a path of the server", "options of the engine"],
)
def test_what_belongs_to_the_service_is_not_the_callers_to_set(client: TestClient, settings: dict[str, Any]) -> None:
    body = {"languages": ["es"], "settings": settings, "sources": [{"url": "https://example.com/a.mp4"}]}
    answer = client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_setting")
