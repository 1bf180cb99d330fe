"""Resumable uploads (tus 1.0): files come in pieces and are the files that were sent."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from services.api.routes.uploads import take_upload
from services.api.uploads.storage import sweep_uploads
from shared.core.errors import CounterdubError
from shared.core.store import Blob
from shared.ledger.tables import Upload, now
from tests.integration.api.uploads.sending import (
    DATA,
    OCTETS,
    TUS,
    URL,
    checksum,
    created,
    named,
    offset,
    parts,
    row,
    sent,
    stored,
)
from tests.integration.security.installation import Installation, install, problem


def test_options(caller: TestClient) -> None:
    response = caller.options(URL)
    assert response.status_code == 204
    assert response.headers["tus-version"] == response.headers["tus-resumable"] == "1.0.0"
    assert response.headers["tus-max-size"] == "10000000"
    assert "creation-with-upload" in response.headers["tus-extension"]


def test_upload_in_pieces(api: Installation, caller: TestClient) -> None:
    place = created(caller, headers=named("Ein Film.mp4"))
    assert offset(caller, place) == 0
    for at in range(0, len(DATA), 100_000):
        response = sent(caller, place, at, DATA[at : at + 100_000])
        assert response.status_code == 204 and response.headers["upload-offset"] == str(at + 100_000)
        assert response.headers["tus-resumable"] == "1.0.0"
    assert offset(caller, place) == len(DATA)
    assert stored(api, place) == DATA
    assert row(api, place).name == "Ein Film.mp4"
    assert not parts(api), "the file moved into the store"


def test_upload_with_its_creation(api: Installation, caller: TestClient) -> None:
    response = caller.post(URL, content=DATA, headers={**OCTETS, "Upload-Length": str(len(DATA))})
    assert response.status_code == 201 and response.headers["upload-offset"] == str(len(DATA))
    assert stored(api, response.headers["location"]) == DATA


def test_empty_upload(api: Installation, caller: TestClient) -> None:
    assert stored(api, created(caller, 0)) == b""


def test_method_override(api: Installation, caller: TestClient) -> None:
    place = created(caller)
    headers = {**OCTETS, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert caller.post(place, content=DATA, headers=headers).status_code == 204
    assert caller.post(place, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert caller.head(place, headers=TUS).status_code == 404


def test_taking_an_upload(api: Installation, caller: TestClient) -> None:
    """A finished upload can be named by several jobs; an unfinished one by none."""
    from services.api.auth.keys import Caller, caller_of

    secret = caller.headers["authorization"].removeprefix("Bearer ")
    me = caller_of(api.here.database, secret)
    assert me is not None
    place = created(caller)

    def take(who: Caller) -> Blob | str:
        with api.here.database.write() as session:
            try:
                return take_upload(session, who, place.rpartition("/")[2])
            except CounterdubError as error:
                return error.code

    assert take(me) == "upload_unfinished"
    sent(caller, place, 0, DATA)
    first = take(me)
    assert isinstance(first, Blob) and first.size == len(DATA) and take(me) == first
    assert take(Caller("key_other", me.scopes)) == "unknown_upload"
    assert take(Caller("key_admin", frozenset({"admin"}))) == first


def test_finished_upload_becomes_a_job(api: Installation, caller: TestClient) -> None:
    place = created(caller, headers=named("clip.mp4"))
    sent(caller, place, 0, DATA)
    asked = {"languages": ["es"], "sources": [{"upload": place.rpartition("/")[2]}]}
    response = caller.post("/v1/jobs", content=json.dumps(asked), headers={"Content-Type": "application/json"})
    assert response.status_code == 202, response.text


def test_body_shorter_than_the_upload_leaves_it_unfinished(api: Installation, caller: TestClient) -> None:
    place = created(caller)
    assert sent(caller, place, 0, DATA[:-1]).headers["upload-offset"] == str(len(DATA) - 1)
    assert row(api, place).blob is None
    assert sent(caller, place, len(DATA) - 1, DATA[-1:]).status_code == 204
    assert stored(api, place) == DATA


def test_bytes_for_a_finished_upload(api: Installation, caller: TestClient) -> None:
    place = created(caller)
    sent(caller, place, 0, DATA)
    assert problem(sent(caller, place, 0, DATA), 409) == "wrong_offset"
    assert problem(sent(caller, place, len(DATA), b""), 409) == "wrong_offset"
    assert stored(api, place) == DATA


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_checksum(api: Installation, caller: TestClient, algorithm: str) -> None:
    place = created(caller)
    damaged = sent(caller, place, 0, b"X" + DATA[1:1000], **checksum(DATA[:1000], algorithm))
    assert problem(damaged, 460) == "checksum_mismatch" and damaged.headers["tus-resumable"] == "1.0.0"
    assert offset(caller, place) == 0
    assert sent(caller, place, 0, DATA[:1000], **checksum(DATA[:1000], algorithm)).status_code == 204
    assert sent(caller, place, 1000, DATA[1000:], **checksum(DATA[1000:], algorithm)).status_code == 204
    assert stored(api, place) == DATA


@pytest.mark.parametrize("text", ["md5 AAAA", "sha256", "sha256 !!", "sha256 AAAA", ""])
def test_checksum_that_is_none(caller: TestClient, text: str) -> None:
    assert problem(sent(caller, created(caller), 0, DATA, **{"Upload-Checksum": text}), 400) == "bad_upload"


def test_expired_uploads_are_gone_and_swept(api: Installation, caller: TestClient) -> None:
    open_one, finished, young = created(caller), created(caller), created(caller)
    sent(caller, open_one, 0, DATA[:1000])
    sent(caller, finished, 0, DATA)
    sent(caller, young, 0, DATA[:1000])
    (api.settings.uploads() / ("upl_" + "0" * 32 + ".part")).write_bytes(b"of a row that is gone")
    with api.here.database.write() as session:
        for place in (open_one, finished):
            upload = session.get(Upload, place.rpartition("/")[2])
            assert upload is not None
            upload.expires = now() - timedelta(hours=2)
    for place in (open_one, finished):
        assert caller.head(place, headers=TUS).status_code == 404
        assert problem(sent(caller, place, 1000, DATA[1000:]), 404) == "unknown_upload"
    assert sweep_uploads(api.here.database, api.settings) == 2
    assert [path.stem for path in parts(api)] == [young.rpartition("/")[2]]
    assert offset(caller, young) == 1000
    assert sweep_uploads(api.here.database, api.settings) == 0


def test_deleting_an_upload(api: Installation, caller: TestClient) -> None:
    place = created(caller)
    sent(caller, place, 0, DATA[:1000])
    assert caller.delete(place, headers=TUS).status_code == 204
    assert not parts(api)
    assert caller.head(place, headers=TUS).status_code == 404
    assert caller.delete(place, headers=TUS).status_code == 404


def test_upload_into_a_bucket(tmp_path: Path, s3_bucket: str) -> None:
    found = install(tmp_path, store_url=f"s3://{s3_bucket}/uploads", store_cache=tmp_path / "cache")
    place = created(who := found.caller())
    assert sent(who, place, 0, DATA).status_code == 204
    assert stored(found, place) == DATA and not parts(found)
    found.close()
