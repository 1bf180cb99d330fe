"""Uploads that lie: about sizes, offsets, names and owners."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared.ledger.tables import Upload, now
from tests.integration.api.uploads.sending import DATA, TUS, URL, created, named, offset, parts, row, sent
from tests.integration.security.installation import Installation, install, problem

REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "without the protocol's version": (412, {"Tus-Resumable": ""}),
    "another version": (412, {"Tus-Resumable": "0.2.2"}),
    "no length": (400, {"Upload-Length": ""}),
    "negative length": (400, {"Upload-Length": "-1"}),
    "length that is no number": (400, {"Upload-Length": "1e9"}),
    "length in other digits": (400, {"Upload-Length": "१".encode()}),
    "length beyond all numbers": (400, {"Upload-Length": "9" * 30}),
    "too long": (413, {"Upload-Length": "10000001"}),
    "name that is not base64": (400, {"Upload-Metadata": "filename ???"}),
    "name that is not UTF-8": (400, {"Upload-Metadata": "filename " + base64.b64encode(b"\xff\xfe").decode()}),
}


@pytest.mark.parametrize(("status", "headers"), REFUSED.values(), ids=REFUSED)
def test_creation_is_refused(api: Installation, caller: TestClient, status: int, headers: dict[str, Any]) -> None:
    response = caller.post(URL, headers={**TUS, "Upload-Length": "10", **headers})
    problem(response, status)
    assert response.headers["tus-resumable"] == "1.0.0"
    assert not parts(api)


NAMES = {
    "../../etc/passwd": "passwd",
    "/etc/cron.d/evil": "evil",
    "..\\..\\windows\\evil.exe": "evil.exe",
    "..": "video",
    ".": "video",
    "": "video",
    ".mp4": "mp4",
    "a/b/": "video",
    "nul\x00byte.mp4": "nulbyte.mp4",
    "new\r\nSet-Cookie: a=b.mp4": "newSet-Cookie: a=b.mp4",
    "esc\x1b[31mred.mp4": "esc[31mred.mp4",
    "reversed\u202e4pm.exe": "reversed4pm.exe",
    "映画 – ñandú 🎬.mp4": "映画 – ñandú 🎬.mp4",
    "suffix.with space": "suffix_with space",
    "a." + "x" * 300: "a_" + "x" * 198,
    "x" * 300 + ".mp4": "x" * 200 + ".mp4",
}


@pytest.mark.parametrize(("name", "kept"), NAMES.items(), ids=range(len(NAMES)))
def test_names_are_labels_and_never_paths(api: Installation, caller: TestClient, name: str, kept: str) -> None:
    before = set(api.settings.data.parent.rglob("*"))
    place = created(caller, 4, named(name))
    assert [path.name for path in api.settings.uploads().rglob("*")] == []
    assert sent(caller, place, 0, b"data").status_code == 204
    assert row(api, place).name == kept
    added = {path for path in api.settings.data.parent.rglob("*") if path.is_file()} - before
    store = Path(api.settings.store())
    assert all(path.is_relative_to(store / "blobs") for path in added if ".db" not in path.name), added


@pytest.mark.parametrize(
    "upload", ["upl_..%2f..%2fx", "..%2f..%2fetc%2fpasswd", "upl_" + "0" * 32, "upl_" + "g" * 32, "%00"]
)
def test_ids_that_nobody_was_given(caller: TestClient, upload: str) -> None:
    assert sent(caller, f"{URL}/{upload}", 0, b"x").status_code == 404
    assert caller.head(f"{URL}/{upload}", headers=TUS).status_code == 404
    assert caller.delete(f"{URL}/{upload}", headers=TUS).status_code == 404


def test_uploads_of_others_look_as_if_they_did_not_exist(api: Installation, caller: TestClient) -> None:
    place, other = created(caller), api.caller()
    assert problem(sent(other, place, 0, DATA), 404) == "unknown_upload"
    assert other.head(place, headers=TUS).status_code == 404
    assert problem(other.delete(place, headers=TUS), 404) == "unknown_upload"
    assert offset(caller, place) == 0
    sent(caller, place, 0, DATA)
    asked = {"languages": ["es"], "sources": [{"upload": place.rpartition("/")[2]}]}
    assert problem(other.post("/v1/jobs", json=asked), 404) == "unknown_upload"
    assert not api.jobs()


@pytest.mark.parametrize("at", [1, 99_999, 100_001, len(DATA), 10**15])
def test_wrong_offset(api: Installation, caller: TestClient, at: int) -> None:
    place = created(caller, 10**6)
    sent(caller, place, 0, DATA[:100_000])
    response = sent(caller, place, at, DATA[100_000:200_000])
    assert problem(response, 409 if at < 10**6 else 413) in ("wrong_offset", "too_large")
    assert offset(caller, place) == 100_000
    assert sent(caller, place, 100_000, DATA[100_000:200_000]).status_code == 204


@pytest.mark.parametrize("headers", [{"Upload-Offset": ""}, {"Upload-Offset": "-1"}, {"Upload-Offset": "x"}])
def test_offset_that_is_no_number(caller: TestClient, headers: dict[str, str]) -> None:
    assert problem(sent(caller, created(caller), 0, DATA, **headers), 400) == "bad_upload"


def test_another_media_type(caller: TestClient) -> None:
    response = sent(caller, created(caller), 0, DATA, **{"Content-Type": "video/mp4"})
    assert problem(response, 415) == "unsupported_media_type"


def pieces(count: int, size: int = 2**16) -> Iterator[bytes]:
    for _ in range(count):
        yield bytes(size)


def test_more_bytes_than_announced_by_content_length(api: Installation, caller: TestClient) -> None:
    place = created(caller, 1000)
    assert problem(sent(caller, place, 0, bytes(1001)), 413) == "too_large"
    assert offset(caller, place) == 0


def test_endless_body_is_stopped_at_the_announced_size(api: Installation, caller: TestClient) -> None:
    """Chunked: nothing says how long it is."""
    place = created(caller, 10**6)
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for piece in pieces(10_000):
            taken += len(piece)
            yield piece

    assert problem(sent(caller, place, 0, endless()), 413) == "too_large"
    assert offset(caller, place) == 0
    assert sum(path.stat().st_size for path in parts(api)) == 0


def test_quota_of_bytes(api: Installation) -> None:
    small = api.caller(max_bytes=1000)
    assert problem(small.post(URL, headers={**TUS, "Upload-Length": "1001"}), 413) == "quota_bytes"
    place = created(small, 600)
    assert problem(small.post(URL, headers={**TUS, "Upload-Length": "401"}), 413) == "quota_bytes"
    sent(small, place, 0, bytes(600))
    created(small, 1000)


def test_announced_files_that_the_disk_has_no_room_for_together(tmp_path: Path) -> None:
    """Bytes that others announced and have not sent need their room too, until they are sent or given up."""
    api = install(tmp_path, max_upload_bytes=2**60)
    most = int(0.7 * shutil.disk_usage(tmp_path).free)
    first = created(api.caller(), most)
    second = api.caller()
    refused = second.post(URL, headers={**TUS, "Upload-Length": str(most)})
    assert problem(refused, 507) == "disk_full" and refused.json()["retryable"]
    assert second.post(URL, headers={**TUS, "Upload-Length": "1000"}).status_code == 201
    with api.here.database.write() as session:
        session.get_one(Upload, first.rpartition("/")[2]).expires = now()
    assert second.post(URL, headers={**TUS, "Upload-Length": str(most)}).status_code == 201
    api.close()


def test_announced_file_that_the_disk_has_no_room_for(tmp_path: Path) -> None:
    api = install(tmp_path, max_upload_bytes=2**60)
    response = api.caller().post(URL, headers={**TUS, "Upload-Length": str(2**59)})
    assert problem(response, 507) == "disk_full"
    api.close()
