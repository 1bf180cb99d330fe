"""Bodies and forms that are too large, endless, or many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.security.installation import Installation, install, problem

FORM = {"Content-Type": "multipart/form-data; boundary=B"}
HEAD = b'--B\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Installation]:
    found = install(tmp_path, max_upload_bytes=10**6, max_request_bytes=10**4)
    yield found
    found.close()


def left(api: Installation) -> list[Path]:
    """What a refused request has left behind."""
    return [path for path in api.settings.data.rglob("*") if path.is_file() and ".db" not in path.name]


def test_endless_form(small: Installation) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield HEAD
        for _ in range(1000):
            taken += 2**16
            yield os.urandom(2**16)

    response = small.caller().post("/v1/jobs", content=endless(), headers=FORM)
    assert problem(response, 413) == "too_large"
    assert not left(small) and not small.jobs()


def test_form_over_the_keys_quota(small: Installation) -> None:
    body = HEAD + bytes(2000) + b"\r\n--B--\r\n"
    response = small.caller(max_bytes=1000).post("/v1/jobs", content=body, headers=FORM)
    assert problem(response, 413) == "quota_bytes"
    assert not left(small)


def test_form_of_too_many_parts(small: Installation) -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="languages"\r\n\r\nes\r\n'
    response = small.caller().post("/v1/jobs", content=part * 1000 + b"--B--\r\n", headers=FORM)
    assert response.status_code in (413, 422) and not small.jobs()


def test_form_that_breaks_off(small: Installation) -> None:
    response = small.caller().post("/v1/jobs", content=HEAD + bytes(100), headers=FORM)
    assert problem(response, 422) == "bad_request"
    assert not left(small)


@pytest.mark.parametrize("body", [b"[" * 5000, b'{"a":' * 1600, b'"' + b"x" * 20_000 + b'"', b"1" * 5000])
def test_json_that_is_large_or_deep(small: Installation, body: bytes) -> None:
    response = small.caller().post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (413, 422)


def test_very_long_suffix_of_a_file_name(small: Installation) -> None:
    body = HEAD.replace(b"a.mp4", b"a." + b"x" * 195) + bytes(2000)
    body += b'\r\n--B\r\nContent-Disposition: form-data; name="languages"\r\n\r\nes\r\n--B--\r\n'
    assert small.caller().post("/v1/jobs", content=body, headers=FORM).status_code == 202


def test_compressed_bodies_are_not_opened(small: Installation) -> None:
    import gzip

    body = gzip.compress(b'{"languages": ["es"], "sources": [{"url": "https://example.com/a"}]}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert small.caller().post("/v1/jobs", content=body, headers=headers).status_code in (415, 422)
