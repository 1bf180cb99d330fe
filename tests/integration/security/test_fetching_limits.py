"""Videos by URL that are too large, too slow, endless or lie about it; what is said of them tells no secrets."""

from __future__ import annotations

import gzip
import logging
import socket
import time
from pathlib import Path

import pytest

from services.ingest import video_download
from services.ingest.video_download import fetch
from shared.core.errors import Cancelled, CounterdubError
from shared.settings.models import LimitSettings
from tests.integration.security.asking import SECRETS, VIDEO, fetched, refused, settings
from tests.integration.security.origin import redirect, respond, serving


def test_announced_size_over_the_limit_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with serving({"/a": respond(200, b"", content_length=10**15)}) as origin:
        assert refused(tmp_path, f"{origin.url}/a").code == "too_large"


def endless(connection: socket.socket, _request: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")


def test_endless_body_ends_at_the_limit(tmp_path: Path) -> None:
    with serving({"/a": endless}) as origin:
        error = refused(tmp_path, f"{origin.url}/a", limits=LimitSettings(max_bytes=2**20))
    assert error.code == "too_large" and not error.retryable
    assert (tmp_path / "fetched").stat().st_size <= 2**20


def test_the_services_limit_holds_even_where_the_jobs_is_higher(tmp_path: Path) -> None:
    with serving({"/a": endless}) as origin:
        assert refused(tmp_path, f"{origin.url}/a", max_upload_bytes=2**20).code == "too_large"


def test_body_shorter_than_announced_is_no_video(tmp_path: Path) -> None:
    with serving({"/a": respond(200, VIDEO, content_length=len(VIDEO) + 1)}) as origin:
        error = refused(tmp_path, f"{origin.url}/a")
    assert error.code == "fetch_failed" and error.retryable


def test_body_longer_than_announced_is_cut_where_it_was_to_end(tmp_path: Path) -> None:
    with serving({"/a": respond(200, VIDEO + b"more", content_length=len(VIDEO))}) as origin:
        assert fetched(tmp_path, f"{origin.url}/a") == VIDEO


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "gzip, gzip"])
def test_decompression_bomb_is_not_opened(tmp_path: Path, encoding: str) -> None:
    bomb = gzip.compress(bytes(10**7))
    with serving({"/a": respond(200, bomb, content_encoding=encoding)}) as origin:
        assert refused(tmp_path, f"{origin.url}/a").code == "fetch_failed"
    assert (tmp_path / "fetched").stat().st_size == 0


def silent(connection: socket.socket, _request: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")
    time.sleep(5)


def trickling(connection: socket.socket, _request: str) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nx-slow: " + b"x" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def test_server_that_falls_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_download, "IDLE_S", 0.3)
    with serving({"/a": silent}) as origin:
        error = refused(tmp_path, f"{origin.url}/a")
    assert error.code == "fetch_timeout" and error.retryable


def test_server_that_never_falls_silent_long_enough(tmp_path: Path) -> None:
    """One byte of its head after the other, each in time."""
    began = time.monotonic()
    with serving({"/a": trickling}) as origin:
        error = refused(tmp_path, f"{origin.url}/a", time_limits_s={"fetch": 1.0})
    assert error.code == "fetch_timeout" and time.monotonic() - began < 4


def test_cancelling_does_not_wait_for_the_server(tmp_path: Path) -> None:
    def stop(_here: int, _of: int | None) -> None:
        raise Cancelled

    began = time.monotonic()
    with serving({"/a": silent}) as origin, pytest.raises(CounterdubError) as caught:
        fetch(f"{origin.url}/a", "url", tmp_path / "f", settings(tmp_path), LimitSettings(), lambda *_: stop(0, None))
    assert caught.value.code == "cancelled" and time.monotonic() - began < 3


def test_full_disk_is_told_as_such(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with (
        serving({"/a": respond(200, VIDEO)}) as origin,
        Path("/dev/full").open("r+b", buffering=0) as full,
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(CounterdubError) as caught,
    ):
        patch.setattr(Path, "open", lambda *_: full)
        fetch(f"{origin.url}/a", "url", tmp_path / "f", settings(tmp_path), LimitSettings(), lambda *_: None)
    assert caught.value.code == "disk_full"


BAD_ANSWERS = [respond(404), redirect("http://10.0.0.1/?k=secret-token"), redirect("http://[bad"), b"x"]


@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_urls_secrets_are_neither_in_errors_nor_in_logs(
    tmp_path: Path, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving({"/a": answer}) as origin:
        error = refused(tmp_path, f"http://user:password@127.0.0.1:{origin.port}/a?token=secret-token")
    chain = f"{error.to_dict()} {error!r} {error.__cause__!r}"
    assert not any(secret in text for secret in SECRETS for text in (chain, caplog.text))
