"""Jobs come in by every door; what is wrong with a request is said and leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from shared.core.store import Blob
from shared.ledger.tables import Idempotency, Job, Title
from tests.integration.api.asking import count, video
from tests.integration.api.harness import Api, make_api, serving


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client()


FORM = "multipart/form-data; boundary=x"
BROKEN_OFF = b'--x\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\nabc'


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


@pytest.mark.parametrize("sent", ["file", "text"])
def test_translations_come_as_files_or_texts_of_a_language_that_is_asked(
    api: Api, client: TestClient, sent: str
) -> None:
    text = "1\n00:00:00,000 --> 00:00:01,000\n¿Sí?"
    files, data = [video()], {"languages": "es,fr", "subtitles": "embedded"}
    if sent == "file":
        files.append(("translation.spa", ("a.srt", text.encode())))
    else:
        data["translation.spa"] = text
    answer = client.post("/v1/jobs", files=files, data=data)
    assert answer.status_code == 202, answer.text
    with api.database.read() as session:
        title = session.scalars(select(Title)).one()
    assert title.subtitles == "embedded" and list(title.translations) == ["es"]
    assert api.store.fetch(Blob(**title.translations["es"])).read_text() == text
    for more, change, code in (
        ([video()], {}, "translation_needs_one_video"),
        ([], {"languages": "fr"}, "translation_not_asked"),
        ([], {"translation.Spanish": text}, "bad_translation"),
        ([], {"translation.klingonish": text}, "unknown_language"),
    ):
        refused = client.post("/v1/jobs", files=[*more, *files], data={**data, **change})
        assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert client.post("/v1/jobs", files=files, data={**data, "subtitles": "burnt"}).status_code == 422
    assert count(api) == 1


def test_each_source_of_a_job_has_translations_of_its_own(tmp_path: Path) -> None:
    api = make_api(tmp_path, allowed_paths=[tmp_path / "videos"])
    client = api.client()
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\nSí"
    sources = [
        {"path": str(tmp_path / "videos" / "a.mp4"), "translations": {"es": text, "ja": "はい"}},
        {"path": str(tmp_path / "videos" / "b.mp4")},
    ]
    assert client.post("/v1/jobs", json={"sources": sources, "languages": ["ja", "es"]}).status_code == 202
    with api.database.read() as session:
        first, second = session.scalars(select(Title).order_by(Title.position))
    assert set(first.translations) == {"es", "ja"} and second.translations is None and first.subtitles is None
    assert api.store.fetch(Blob(**first.translations["es"])).read_text() == text
    refused = client.post("/v1/jobs", json={"sources": sources, "languages": ["es"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "translation_not_asked")


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

    def endless() -> Iterator[bytes]:
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


def test_a_body_that_stands_still_is_given_up(tmp_path: Path) -> None:
    api = make_api(tmp_path, stall_timeout_s=0.2)
    go_on = threading.Event()

    def stalling() -> Iterator[bytes]:
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


@pytest.mark.parametrize(
    "settings",
    [{"separation": {"model": "/etc/passwd"}}, {"dubbing": {"extra": {"allow_download": True}}}],
    ids=["a path of the server", "options of the engine"],
)
def test_what_belongs_to_the_service_is_not_the_callers_to_set(client: TestClient, settings: dict[str, Any]) -> None:
    body = {"languages": ["es"], "settings": settings, "sources": [{"url": "https://example.com/a.mp4"}]}
    answer = client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_setting")
