"""Videos by URL: where they may lie, and where redirects and names may lead."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from services.ingest import video_download
from services.ingest.video_download import fetch
from shared.settings.models import LimitSettings
from tests.integration.security.asking import VIDEO, fetched, refused, settings
from tests.integration.security.origin import PUBLIC, Internet, redirect, respond, serving


def test_video_by_url(tmp_path: Path) -> None:
    with serving({"/a.mp4": respond(200, VIDEO)}) as origin:
        assert fetched(tmp_path, f"{origin.url}/a.mp4?signature=1") == VIDEO
        assert origin.header("accept-encoding") == "identity"


def test_progress_tells_bytes_and_their_expected_number(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with serving({"/a.mp4": respond(200, VIDEO)}) as origin:
        url, into = f"{origin.url}/a.mp4", tmp_path / "fetched"
        fetch(url, "url", into, settings(tmp_path), LimitSettings(), lambda here, of: told.append((here, of)))
    assert told[-1] == (len(VIDEO), len(VIDEO))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_followed(tmp_path: Path, status: int) -> None:
    with serving({"/a": redirect("/b?x=1", status), "/b": respond(200, VIDEO)}) as origin:
        assert fetched(tmp_path, f"{origin.url}/a") == VIDEO


INWARD = [
    *("http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://169.254.169.254/latest/meta-data/"),
    *(
        "http://10.0.0.1/",
        "//192.168.0.1/",
        "http://0x7f.1/",
        "file:///etc/passwd",
        "ftp://example.com/a",
        "gopher://x/",
    ),
]


@pytest.mark.parametrize("target", INWARD)
def test_redirect_inwards_is_refused(internet: Internet, tmp_path: Path, target: str) -> None:
    internet.names["a.example.com"] = [[PUBLIC]]
    with serving({"/": redirect(target)}) as origin:
        internet.origin = origin
        error = refused(tmp_path, "http://a.example.com/", private_hosts=[])
    assert error.code == "url_not_allowed" and not error.retryable
    assert internet.connections == [PUBLIC]


def test_redirect_to_a_name_that_leads_inwards_is_refused(internet: Internet, tmp_path: Path) -> None:
    internet.names |= {"a.example.com": [[PUBLIC]], "b.example.com": [["127.0.0.1"]]}
    with serving({"/": redirect("http://b.example.com/")}) as origin:
        internet.origin = origin
        assert refused(tmp_path, "http://a.example.com/", private_hosts=[]).code == "url_not_allowed"
    assert internet.connections == [PUBLIC]


def test_dns_rebinding_between_the_request_and_a_redirect_is_refused(internet: Internet, tmp_path: Path) -> None:
    internet.names["a.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    with serving({"/": redirect("/again"), "/again": respond(200, b"inside")}) as origin:
        internet.origin = origin
        assert refused(tmp_path, "http://a.example.com/", private_hosts=[]).code == "url_not_allowed"
    assert internet.connections == [PUBLIC]


def test_redirects_in_a_circle_end(tmp_path: Path) -> None:
    with serving({"/a": redirect("/a")}) as origin:
        assert refused(tmp_path, f"{origin.url}/a").code == "fetch_failed"
        assert len(origin.requests) == video_download.MAX_REDIRECTS + 1


def test_credentials_go_to_no_other_host(tmp_path: Path) -> None:
    with serving({"/b": respond(200, VIDEO)}) as other, serving({"/a": redirect(f"{other.url}/b")}) as origin:
        assert fetched(tmp_path, f"http://user:password@127.0.0.1:{origin.port}/a") == VIDEO
        assert origin.header("authorization") and not other.header("authorization")
        assert "password" not in "".join(other.requests)


def test_urls_can_be_switched_off(tmp_path: Path) -> None:
    assert refused(tmp_path, "https://example.com/a.mp4", allow_urls=False).code == "url_not_allowed"


@pytest.mark.parametrize(("status", "again"), [(404, False), (403, False), (206, False), (500, True), (429, True)])
def test_other_status(tmp_path: Path, status: int, again: bool) -> None:
    with serving({"/a": respond(status, VIDEO)}) as origin:
        error = refused(tmp_path, f"{origin.url}/a")
    assert error.code == "fetch_failed" and error.retryable == again and str(status) in error.message


def test_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = refused(tmp_path, f"http://127.0.0.1:{port}/a.mp4?token=secret")
    assert error.code == "fetch_failed" and error.retryable and "secret" not in str(error.to_dict())
