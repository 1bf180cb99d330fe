"""Videos by path of the server or in a bucket: only below what is allowed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.core.errors import CounterdubError
from shared.queue.locators import check_locator
from shared.settings.models import LimitSettings
from tests.integration.security.asking import SECRETS, VIDEO, fetched, refused, settings


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(VIDEO)
    (folder / "deep" / "b.mp4").write_bytes(VIDEO)
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "videos-of-others").mkdir()
    (tmp_path / "videos-of-others" / "c.mp4").write_bytes(b"secret")
    return folder


@pytest.mark.parametrize("name", ["a.mp4", "deep/b.mp4"])
def test_video_by_path(tmp_path: Path, videos: Path, name: str) -> None:
    check_locator("path", str(videos / name), settings(tmp_path, allowed_paths=[videos]))
    assert fetched(tmp_path, str(videos / name), "path", allowed_paths=[videos]) == VIDEO
    assert (videos / name).exists()


def test_path_traversal(tmp_path: Path, videos: Path) -> None:
    for path in (
        *(f"{videos}/../secret.mp4", f"{videos}/deep/../../secret.mp4", f"{tmp_path}/secret.mp4", "a.mp4", ""),
        *(f"{tmp_path}/videos-of-others/c.mp4", str(videos), "/etc/passwd", "/proc/self/environ", f"{videos}/none.mp4"),
        *(f"{videos}/a.mp4\x00", "file:///etc/passwd", f"{videos}/deep"),
    ):
        error = refused(tmp_path, path, "path", allowed_paths=[videos])
        assert error.code == "path_not_allowed", path
        assert str(tmp_path) not in str(error.to_dict())


@pytest.mark.parametrize("text", ["../secret.mp4", "relative.mp4", "/etc/passwd", "/videos/../etc/passwd", "/videos"])
def test_path_that_is_refused_by_its_text(tmp_path: Path, text: str) -> None:
    with pytest.raises(CounterdubError) as caught:
        check_locator("path", text, settings(tmp_path, allowed_paths=[Path("/videos")]))
    assert caught.value.code == "path_not_allowed" and text not in caught.value.message


def test_no_path_is_allowed_by_default(tmp_path: Path, videos: Path) -> None:
    assert refused(tmp_path, str(videos / "a.mp4"), "path").code == "path_not_allowed"


def test_links_that_lead_out_are_refused_and_those_that_stay_are_followed(tmp_path: Path, videos: Path) -> None:
    (videos / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (videos / "folder").symlink_to(tmp_path)
    (videos / "in.mp4").symlink_to("deep/b.mp4")
    (videos / "circle.mp4").symlink_to("circle.mp4")
    for name in ("out.mp4", "folder/secret.mp4", "circle.mp4"):
        assert refused(tmp_path, str(videos / name), "path", allowed_paths=[videos]).code == "path_not_allowed"
    assert fetched(tmp_path, str(videos / "in.mp4"), "path", allowed_paths=[videos]) == VIDEO


def test_allowed_folder_that_is_a_link_itself(tmp_path: Path, videos: Path) -> None:
    (tmp_path / "linked").symlink_to(videos)
    assert fetched(tmp_path, f"{tmp_path}/linked/a.mp4", "path", allowed_paths=[tmp_path / "linked"]) == VIDEO


@pytest.mark.parametrize("part", ["a.mp4", "deep"])
def test_link_slipped_in_between_check_and_use_is_refused(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """The path is resolved, then somebody puts a link in its place."""
    resolve = os.path.realpath

    def swapped(path: Any, **more: Any) -> str:
        found = resolve(path, **more)
        if str(path).endswith(".mp4"):
            (videos / part).rename(tmp_path / "moved")
            (videos / part).symlink_to(tmp_path / ("secret.mp4" if part == "a.mp4" else "moved"))
        return found

    monkeypatch.setattr(os.path, "realpath", swapped)
    asked = videos / "a.mp4" if part == "a.mp4" else videos / "deep" / "b.mp4"
    assert refused(tmp_path, str(asked), "path", allowed_paths=[videos]).code == "path_not_allowed"


def test_pipes_and_devices_are_no_files(tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(videos / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(videos)
        listening.bind("socket.mp4")
        for name in ("pipe.mp4", "socket.mp4"):
            assert refused(tmp_path, str(videos / name), "path", allowed_paths=[videos]).code == "path_not_allowed"
    assert refused(tmp_path, "/dev/zero", "path", allowed_paths=[Path("/dev")]).code == "path_not_allowed"


def test_large_sparse_file_is_refused_without_reading_it(tmp_path: Path, videos: Path) -> None:
    with (videos / "a.mp4").open("wb") as file:
        file.truncate(2**40)
    assert refused(tmp_path, str(videos / "a.mp4"), "path", allowed_paths=[videos]).code == "too_large"


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    """A real S3 server with the buckets “films” and “private”."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret-token",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        storage = boto3.client("s3")
        for name in ("films", "private"):
            storage.create_bucket(Bucket=name)
            storage.put_object(Bucket=name, Key="2026/a b.mp4", Body=VIDEO)
        yield environment
    server.stop()


def test_video_from_a_bucket(tmp_path: Path, bucket: dict[str, str]) -> None:
    for allowed in ("films", "films/2026", "s3://films/2026/"):
        assert fetched(tmp_path, "s3://films/2026/a b.mp4", allowed_buckets=[allowed]) == VIDEO


@pytest.mark.parametrize(
    "locator",
    [
        *(
            "s3://private/2026/a b.mp4",
            "s3://films/2026/../a.mp4",
            "s3://films/./a",
            "s3://films//a",
            "s3://films",
            "s3://",
        ),
        *("s3://films/2025/a.mp4", "s3://films/20261/a.mp4", "s3://films/2026/", "s3://films/2026/a\n.mp4"),
        "s3://arn:aws:s3:us-east-1:1:accesspoint/films/2026/a",
    ],
)
def test_object_outside_the_allowed_buckets_is_refused(tmp_path: Path, locator: str) -> None:
    for kind in ("url", "path"):
        assert refused(tmp_path, locator, kind, allowed_buckets=["films/2026"]).code == "url_not_allowed"


def test_no_bucket_is_allowed_by_default(tmp_path: Path) -> None:
    assert refused(tmp_path, "s3://films/a.mp4").code == "url_not_allowed"


def test_object_that_is_not_there_and_object_that_is_too_large(tmp_path: Path, bucket: dict[str, str]) -> None:
    missing = refused(tmp_path, "s3://films/none.mp4", allowed_buckets=["films"])
    assert missing.code == "fetch_failed" and not missing.retryable
    small = LimitSettings(max_bytes=1000)
    assert refused(tmp_path, "s3://films/2026/a b.mp4", allowed_buckets=["films"], limits=small).code == "too_large"


def test_keys_of_the_bucket_are_neither_in_errors_nor_in_logs(
    tmp_path: Path, bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    error = refused(tmp_path, "s3://films/a.mp4", allowed_buckets=["films"])
    assert error.code == "fetch_failed" and error.retryable
    assert not any(secret in text for secret in SECRETS for text in (str(error.to_dict()), caplog.text))
