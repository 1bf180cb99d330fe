"""Line breaks and other control characters in names, ids and headers end in no header and on no line of their own."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.ledger.tables import Title
from shared.observability.logging import set_up_logging
from tests.integration.security.installation import Installation, problem

EVIL = 'a\r\nSet-Cookie: stolen=1\r\n\r\n{"level": "forged"}\x1b[2J\u2028.mp4'


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service writes to its log, in its own form."""
    root = logging.getLogger()
    before, level, out = root.handlers, root.level, io.StringIO()
    set_up_logging("api", level="DEBUG", form="json", stream=out)
    yield out
    root.handlers = before
    root.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    """Every line of the log is one record that we wrote."""
    found = [json.loads(line) for line in log.getvalue().split("\n") if line]
    assert all(line.get("level") != "forged" and "\x1b" not in str(line.values()) for line in found)
    return found


def form(name: bytes, field: bytes = b"video") -> tuple[bytes, str]:
    head = b'--B\r\nContent-Disposition: form-data; name="' + field + b'"; filename="' + name + b'"\r\n\r\nvideo\r\n'
    rest = b'--B\r\nContent-Disposition: form-data; name="languages"\r\n\r\nes\r\n--B--\r\n'
    return head + rest, "multipart/form-data; boundary=B"


NAMES = {
    "../../../etc/cron.d/evil.mp4": "evil",
    "..\\..\\evil.mp4": "evil",
    "/etc/passwd": "passwd",
    "..": "video",
    "esc\x1b[2Jape.mp4": "esc",
    "%0d%0aSet-Cookie: a=b.mp4": "Set-Cookie",
    "null\x00byte.mp4": "byte",
    "$(touch owned).mp4": "touch",
}


@pytest.mark.parametrize("name", NAMES)
def test_file_names_in_forms_are_labels_and_never_paths(api: Installation, name: str, log: io.StringIO) -> None:
    before = set(api.settings.data.parent.rglob("*"))
    body, kind = form(name.encode())
    response = api.caller().post("/v1/jobs", content=body, headers={"Content-Type": kind})
    assert response.status_code == 202, response.text
    assert "set-cookie" not in response.headers
    added = {path for path in set(api.settings.data.parent.rglob("*")) - before if path.is_file()}
    store = Path(api.settings.store())
    assert all(path.is_relative_to(store / "blobs") for path in added if ".db" not in path.name), added
    with api.here.database.read() as session:
        title = session.query(Title).one()
    assert not set(title.name) & set("/\\\r\n\x00\x1b$ ") and not title.name.startswith(".")
    assert title.source_name.isprintable() and "/" not in title.source_name
    lines(log)


def test_line_breaks_in_a_file_name_of_a_form(api: Installation, log: io.StringIO) -> None:
    """A raw line break ends the part's header, so there are only other ones."""
    body, kind = form(b'a\r\nContent-Type: text/html\r\nX: "; filename="b.mp4')
    response = api.caller().post("/v1/jobs", content=body, headers={"Content-Type": kind})
    assert response.status_code in (202, 422) and "set-cookie" not in response.headers
    lines(log)


def test_names_in_json(api: Installation, log: io.StringIO) -> None:
    asked = {"languages": ["es"], "name": EVIL, "sources": [{"url": "https://example.com/a.mp4", "name": EVIL}]}
    caller = api.caller()
    response = caller.post("/v1/jobs", json=asked)
    assert response.status_code == 202, response.text
    place = response.headers["location"]
    for answer in (
        response,
        caller.get(place),
        caller.get(f"{place}/titles"),
        caller.get("/v1/jobs", params={"name": EVIL}),
    ):
        assert "set-cookie" not in answer.headers and b"\r\nSet-Cookie" not in answer.content
    lines(log)


def raw(api: Installation, method: str, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, list[Any], bytes]:
    """A request as no client would build it."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
    }
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers}
    scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "state": {}, "app": api.app}
    asyncio.run(api.app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], sent[0]["headers"], body


@pytest.mark.parametrize("key", [b"a\r\nSet-Cookie: a=b", b"a\nb", b"a\x00b", b"", b"x" * 256, "é".encode(), b"a b"])
def test_idempotency_key(api: Installation, key: bytes, log: io.StringIO) -> None:
    secret = api.key().encode()
    headers = [
        (b"authorization", b"Bearer " + secret),
        (b"content-type", b"application/json"),
        (b"idempotency-key", key),
    ]
    status, answered, _ = raw(api, "POST", "/v1/jobs", headers)
    assert status == 422
    assert all(b"\n" not in value and b"\r" not in value for _, value in answered)
    lines(log)


@pytest.mark.parametrize(
    "name", [b"traceparent", b"last-event-id", b"upload-metadata", b"x-api-key", b"host", b"x-request-id"]
)
def test_line_breaks_in_headers(api: Installation, name: bytes, log: io.StringIO) -> None:
    evil = b'a\r\nSet-Cookie: stolen=1\r\n\r\n{"level": "forged"}'
    headers = [(b"authorization", b"Bearer " + api.key().encode()), (name, evil)]
    if name == b"x-api-key":
        headers = [(name, evil)]
    for method, path in (
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("POST", "/v1/uploads"),
        ("GET", "/v1/jobs/job_\r\nx"),
    ):
        status, answered, body = raw(api, method, path, headers)
        assert status < 500, body
        assert all(b"\n" not in value and b"\r" not in value for _, value in answered)
        assert all(header != b"set-cookie" for header, _ in answered)
    lines(log)


def test_languages_and_settings_are_repeated_safely(api: Installation, log: io.StringIO) -> None:
    caller = api.caller()
    for asked in (
        {"languages": [EVIL[:40]], "sources": [{"url": "https://example.com/a"}]},
        {"languages": ["es"], "settings": {EVIL: {"a": 1}}, "sources": [{"url": "https://example.com/a"}]},
        {"languages": ["es"], "profile": EVIL, "sources": [{"url": "https://example.com/a"}]},
        {"languages": ["es"], "then_train": EVIL, "sources": [{"url": "https://example.com/a"}]},
    ):
        response = caller.post("/v1/jobs", json=asked)
        problem(response, 422)
        assert b"\r\n" not in response.content and "set-cookie" not in response.headers
    lines(log)
