"""What a job made can be had: lists, rows, the report, and files in parts."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import soundfile
from fastapi.testclient import TestClient

from tests.integration.api.harness import Api, make_api


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client()


def test_titles_shots_lines_and_files_are_listed_in_pages(client: TestClient, finished: str) -> None:
    base = f"/v1/jobs/{finished}"
    (title,) = client.get(f"{base}/titles").json()["items"]
    assert (title["name"], title["state"], title["error"]) == ("kitchen", "done", None)
    assert client.get(f"{base}/titles/kitchen").json()["source_language"]["language"] == "en"

    shots, cursor = [], None
    while True:
        page = client.get(f"{base}/shots", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        shots += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [shot["index"] for shot in shots] == [0, 1, 2, 3, 4]
    assert set(shots[1]["clips"]) == {"orig", "es"}
    assert client.get(shots[1]["clips"]["es"]).headers["content-type"] == "video/mp4"

    paths = [file["path"] for file in client.get(f"{base}/files").json()["items"]]
    assert paths == sorted(paths) and {"report.html", "pairs.parquet", "kitchen/title.json"} <= set(paths)


def test_every_line_has_an_address_that_takes_another_text(client: TestClient, finished: str) -> None:
    for language in ("en", "orig", "es"):
        page = client.get(f"/v1/jobs/{finished}/utterances/{language}", params={"limit": 2}).json()
        assert [line["id"] for line in page["items"]] == ["u0001", "u0002"] and page["next"]
    assert page["items"][0]["href"] == f"/v1/utterances/{finished}.kitchen.es.u0001"
    rest = client.get(f"/v1/jobs/{finished}/utterances/es", params={"cursor": page["next"]}).json()
    assert [line["id"] for line in rest["items"]] == ["u0003", "u0004"] and rest["next"] is None


def test_rows_come_as_json_and_as_the_table(client: TestClient, finished: str, results: dict[str, Path]) -> None:
    table = pq.read_table(results["pairs.parquet"])
    rows, cursor = [], None
    while True:
        page = client.get(f"/v1/jobs/{finished}/pairs", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
        rows += page.json()["items"]
        cursor = page.json()["next"]
        if cursor is None:
            break
    assert [row["clip_path"] for row in rows] == table["clip_path"].to_pylist()
    assert isinstance(rows[0]["engines"], dict)
    rejects = client.get(f"/v1/jobs/{finished}/pairs", params={"rejected": True}).json()["items"]
    assert all(row["reason"] for row in rejects) and len(rejects) == pq.read_table(results["rejects.parquet"]).num_rows
    whole = client.get(f"/v1/jobs/{finished}/pairs", headers={"Accept": "application/vnd.apache.parquet"})
    assert pq.read_table(io.BytesIO(whole.content)).num_rows == table.num_rows


def test_report_runs_its_own_script_and_nothing_else(client: TestClient, finished: str) -> None:
    for path in ("report", "files/report.html"):
        answer = client.get(f"/v1/jobs/{finished}/{path}")
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy and policy.startswith("default-src 'none'") and "sandbox allow-scripts" in policy
        for tag in ("script", "style"):
            for text in re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.S):
                hashed = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
                assert f"{tag}-src 'sha256-{hashed}'" in policy


def test_a_page_without_a_policy_of_ours_can_do_nothing(api: Api, client: TestClient, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text('<meta http-equiv="Content-Security-Policy" content="script-src *"><script>alert(1)</script>')
    job = api.job(state="done")
    api.publish(job, {"report.html": page})
    assert client.get(f"/v1/jobs/{job}/report").headers["content-security-policy"] == "default-src 'none'; sandbox"


@pytest.fixture(params=["local", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path, results: dict[str, Path]) -> tuple[TestClient, str, bytes]:
    """A finished job in either store: client, address of a track, its bytes."""
    options: dict[str, Any] = {}
    if request.param == "s3":
        bucket = request.getfixturevalue("s3_bucket")
        options = {"store_url": f"s3://{bucket}/{tmp_path.name}", "store_cache": tmp_path / "copies"}
    api = make_api(tmp_path, **options)
    request.addfinalizer(api.database.close)
    job = api.job(state="done", titles=("kitchen",))
    api.publish(job, results)
    return api.client(), f"/v1/jobs/{job}/tracks/es", results["kitchen/tracks/es.flac"].read_bytes()


def test_media_come_whole_or_in_parts_from_either_store(stored: tuple[TestClient, str, bytes]) -> None:
    client, address, whole = stored
    size = len(whole)
    assert size > 2 * 2**16
    answer = client.get(address)
    assert answer.status_code == 200 and answer.content == whole
    assert answer.headers["content-type"] == "audio/flac" and answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == "inline; filename=\"es.flac\"; filename*=UTF-8''es.flac"
    assert answer.headers["etag"] == f'"{hashlib.sha256(whole).hexdigest()}"'
    assert soundfile.info(io.BytesIO(answer.content)).samplerate == 48_000

    for asked, (start, end) in {
        "bytes=0-0": (0, 1),
        "bytes=100-199": (100, 200),
        f"bytes={size - 5}-": (size - 5, size),
        "bytes=-7": (size - 7, size),
        f"bytes=10-{size * 10}": (10, size),
        f"bytes=-{size * 10}": (0, size),
    }.items():
        part = client.get(address, headers={"Range": asked})
        assert part.status_code == 206 and part.content == whole[start:end], asked
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.headers["content-length"] == str(end - start)


def test_ranges_outside_are_refused_and_odd_ones_get_the_whole(stored: tuple[TestClient, str, bytes]) -> None:
    client, address, whole = stored
    for asked in (f"bytes={len(whole)}-", "bytes=-0"):
        refused = client.get(address, headers={"Range": asked})
        assert refused.status_code == 416 and refused.headers["content-range"] == f"bytes */{len(whole)}"
        assert refused.headers["content-type"] == "application/problem+json"
    for asked in ("bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=-", "bytes=" + "9" * 50 + "-"):
        assert client.get(address, headers={"Range": asked}).status_code == 200, asked


def test_a_part_of_another_version_is_never_sent(stored: tuple[TestClient, str, bytes]) -> None:
    client, address, whole = stored
    etag = client.head(address).headers["etag"]
    same = client.get(address, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert same.status_code == 206
    other = client.get(address, headers={"Range": "bytes=0-9", "If-Range": '"something else"'})
    assert other.status_code == 200 and other.content == whole
    assert client.get(address, headers={"If-None-Match": f'"x", {etag}'}).status_code == 304
    head = client.head(address, headers={"Range": "bytes=0-9"})
    assert head.status_code == 206 and head.headers["content-length"] == "10" and head.content == b""
    assert client.head(address).headers["content-length"] == str(len(whole))


def test_a_file_lost_from_the_store_is_a_problem_and_not_half_an_answer(api: Api, finished: str) -> None:
    for path in api.here.settings.data.joinpath("store", "blobs").rglob("*.flac"):
        path.unlink()
    answer = api.client().get(f"/v1/jobs/{finished}/tracks/es")
    assert answer.status_code == 404 and answer.json()["code"] == "artifact_lost"


def test_what_is_not_there_yet_says_so(api: Api) -> None:
    job = api.job()
    answer = api.client().get(f"/v1/jobs/{job}/report")
    assert answer.status_code == 404
    assert (answer.json()["code"], answer.json()["retryable"]) == ("not_ready", True)


def test_internal_files_and_other_paths_are_not_served(api: Api, tmp_path: Path) -> None:
    job = api.job(state="done")
    secret = tmp_path / "cast.es.json"
    secret.write_text("{}")
    api.publish(job, {"clip/cast.es.json": secret}, internal=True)
    client = api.client()
    for path in ("clip/cast.es.json", "../data/counterdub.db", "%2e%2e/counterdub.db", "/etc/passwd", "clip//x"):
        assert client.get(f"/v1/jobs/{job}/files/{path}").status_code == 404, path
    assert client.get(f"/v1/jobs/{job}/files").json()["items"] == []


def test_file_names_cannot_break_out_of_the_header(api: Api, tmp_path: Path) -> None:
    title = 'ein"; filename=evil.exe; ñ'
    file = tmp_path / "x.mkv"
    file.write_bytes(b"x")
    job = api.job(state="done", titles=(title,))
    api.publish(job, {f"{title}/{title}.mkv": file})
    answer = api.client().get(api.client().get(f"/v1/jobs/{job}/files").json()["items"][0]["href"])
    said = answer.headers["content-disposition"]
    assert said.startswith("attachment; filename=\"ein_ filename_evil.exe_ _.mkv\"; filename*=UTF-8''ein%22%3B")
    assert said.count('"') == 2


def test_a_title_must_be_named_where_there_are_several(api: Api, results: dict[str, Path]) -> None:
    job = api.job(state="done", titles=("kitchen", "garden"))
    api.publish(job, results)
    client = api.client()
    unnamed = client.get(f"/v1/jobs/{job}/shots")
    assert unnamed.status_code == 422 and unnamed.json()["code"] == "unknown_title"
    assert client.get(f"/v1/jobs/{job}/shots", params={"title": "kitchen"}).status_code == 200
    assert client.get(f"/v1/jobs/{job}/shots", params={"title": "cellar"}).status_code == 404


def test_numbers_that_json_does_not_know_become_null(api: Api, results: dict[str, Path]) -> None:
    from services.api.parquet_rows import plain

    value = plain({"a": float("nan"), "b": [float("inf"), 1.5], "c": "x"})
    assert json.loads(json.dumps(value, allow_nan=False)) == {"a": None, "b": [None, 1.5], "c": "x"}
