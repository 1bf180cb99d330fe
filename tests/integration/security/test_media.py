"""Hostile videos on their way through the services: sent by a caller, looked at by the real stage ingest."""

from __future__ import annotations

import gzip
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from shared.core.errors import CounterdubError, InputError
from shared.core.store import Blob
from shared.media import child
from shared.pipeline.planner import Task
from shared.pipeline.stage import Scope
from shared.pipeline.task_runner import Performer
from shared.pipeline.task_work import EnginePool
from shared.settings.models import LimitSettings, Settings
from tests.integration.security.installation import Installation, install
from tests.integration.security.origin import serving
from tests.unit.shared.media import odd


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Installation]:
    found = install(tmp_path / "data", max_request_bytes=10**6)
    yield found
    found.close()


def uploaded(api: Installation, path: Path) -> Blob:
    """The file as it lies in the store after a caller has sent it."""
    caller = api.caller()
    data = path.read_bytes()
    headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    metadata = {"Upload-Metadata": "filename Y2xpcC5tcDQ="}
    response = caller.post(
        "/v1/uploads", content=data, headers={**headers, **metadata, "Upload-Length": str(len(data))}
    )
    assert response.status_code == 201, response.text
    from services.api.auth.keys import ANYBODY
    from services.api.routes.uploads import take_upload

    with api.here.database.write() as session:
        return take_upload(session, ANYBODY, response.headers["location"].rpartition("/")[2])


def ingested(api: Installation, blob: Blob, weights: Any, settings: Settings | None = None) -> Any:
    performer = Performer(api.here.store, EnginePool(weights))
    task = Task("ingest", "ingest", Scope())
    return performer.perform(task, {"source": blob}, settings or Settings(), threading.Event(), lambda _share: None)


def refused(api: Installation, path: Path, weights: Any, settings: Settings | None = None) -> InputError:
    with pytest.raises(CounterdubError) as caught:
        ingested(api, uploaded(api, path), weights, settings)
    error = caught.value
    assert isinstance(error, InputError) and not error.retryable
    assert str(api.settings.data) not in f"{error.to_dict()}", "no path of the server"
    assert not list((Path(api.settings.store()) / "tmp").iterdir()), "nothing is left lying about"
    return error


def test_honest_video_passes(api: Installation, tmp_path: Path, weights: Any) -> None:
    done = ingested(api, uploaded(api, odd.clip(tmp_path / "a.mp4")), weights)
    assert "probe.json" in done.outputs


def hls(path: Path, target: str) -> Path:
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n")
    return path


def hls_key(path: Path, target: str) -> Path:
    lines = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n", f'#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:2,\na.ts\n'
    path.write_text("".join(lines))
    return path


def hls_behind_spaces(path: Path, target: str) -> Path:
    hls(path, target).write_bytes(b"\xef\xbb\xbf \r\n\t" + path.read_bytes())
    return path


def concat(path: Path, target: str) -> Path:
    path.write_text(f"ffconcat version 1.0\nfile '{target}'\n")
    return path


def concat_without_its_head(path: Path, target: str) -> Path:
    path.write_text(f"file '{target}'\nfile '{target}'\n")
    return path


def sdp(path: Path, target: str) -> Path:
    lines = "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "c=IN IP4 127.0.0.1", "m=video 9 RTP/AVP 96", f"a={target}", ""
    path.write_text("\r\n".join(lines))
    return path


def dash(path: Path, target: str) -> Path:
    return odd.dash(path, Path(target))


def asx(path: Path, target: str) -> Path:
    path.write_text(f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>')
    return path


def svg(path: Path, target: str) -> Path:
    path.write_text(f'<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{target}"/></svg>')
    return path


def gab2(path: Path, target: str) -> Path:
    """An AVI whose subtitle track is a playlist."""
    text = hls(path, target).read_bytes()
    with av.open(str(path), "w", format="avi") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            out.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    # A second stream, of text, behind the first; its one packet holds the playlist.
    header = b"txts" + bytes(4 + 4 + 4 + 4) + (1).to_bytes(4, "little") + (25).to_bytes(4, "little") + bytes(28)
    chunks = b"strl" + chunk(b"strh", header) + chunk(b"strf", b"")
    place = data.index(b"LIST", data.index(b"strl"))
    packet = chunk(b"01tx", b"GAB2\x00\x02\x00" + bytes(4) + b"\x04\x00" + len(text).to_bytes(4, "little") + text)
    movi = data.index(b"movi") + 4
    data[movi:movi] = packet
    data[place:place] = chunk(b"LIST", chunks)
    path.write_bytes(data)
    return path


def chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


SCRIPTS: list[Callable[[Path, str], Path]] = [
    *(hls, hls_key, hls_behind_spaces, concat, concat_without_its_head, sdp, dash, asx, svg),
]


@pytest.mark.parametrize("make", SCRIPTS)
@pytest.mark.parametrize("scheme", ["http", "file", "path", "concat", "subfile"])
def test_playlist_called_mp4_reads_neither_files_nor_the_network(
    api: Installation, tmp_path: Path, weights: Any, make: Callable[[Path, str], Path], scheme: str
) -> None:
    secret = odd.clip(tmp_path / "secret.mp4")
    with serving({}) as origin:
        targets = {
            "http": f"{origin.url}/metadata",
            "file": f"file://{secret}",
            "path": str(secret),
            "concat": f"concat:{origin.url}/a|{secret}",
            "subfile": f"subfile,,start,0,end,100,,:{secret}",
        }
        error = refused(api, make(tmp_path / "clip.mp4", targets[scheme]), weights)
        assert error.code in ("disguised_playlist", "not_a_video")
        assert not origin.requests


def test_playlist_as_the_subtitles_of_an_avi_is_not_followed(api: Installation, tmp_path: Path, weights: Any) -> None:
    with serving({}) as origin:
        path = gab2(tmp_path / "clip.avi", f"{origin.url}/metadata")
        with av.open(str(path)) as container:
            assert [stream.type for stream in container.streams] == ["video", "subtitle"]
        blob = uploaded(api, path)
        try:
            ingested(api, blob, weights)
        except CounterdubError as error:
            assert error.code != "internal_error"
        assert not origin.requests


def archive(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("../../evil.mp4", bytes(50_000_000))
    return path


def compressed(path: Path) -> Path:
    path.write_bytes(gzip.compress(bytes(50_000_000)))
    return path


def compressed_video(path: Path) -> Path:
    path.write_bytes(gzip.compress(odd.clip(path.with_suffix(".mov")).read_bytes()))
    return path


@pytest.mark.parametrize("make", [archive, compressed, compressed_video])
def test_archive_called_mp4_is_not_unpacked(api: Installation, tmp_path: Path, weights: Any, make: Any) -> None:
    assert refused(api, make(tmp_path / "clip.mp4"), weights).code == "not_a_video"


def png_video(path: Path, frames: int = 1) -> bytearray:
    """A MOV of tiny PNGs."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as out:
        stream = out.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        for _ in range(frames):
            out.mux(stream.encode(av.VideoFrame(64, 64, "rgb24")))
        out.mux(stream.encode(None))
    return bytearray(buffer.getvalue())


def resized(data: bytearray, picture: int | None, container: int | None) -> bytes:
    """The same file claiming other sizes in its picture, in its container or in both."""
    if picture:
        at = data.index(b"IHDR") + 4
        data[at : at + 8] = picture.to_bytes(4, "big") * 2
    if container:
        at = data.index(b"png ", data.index(b"stsd")) + 28
        data[at : at + 4] = container.to_bytes(2, "big") * 2
    return bytes(data)


@pytest.mark.parametrize(("picture", "container"), [(60_000, None), (2**30, None), (60_000, 60_000)])
def test_resolution_bomb(api: Installation, tmp_path: Path, weights: Any, picture: int, container: int | None) -> None:
    path = tmp_path / "clip.mov"
    path.write_bytes(resized(png_video(path), picture, container))
    assert refused(api, path, weights).code in ("too_many_pixels", "decode_memory", "truncated")


def test_picture_smaller_than_its_container_says_is_measured(api: Installation, tmp_path: Path, weights: Any) -> None:
    path = tmp_path / "clip.mov"
    path.write_bytes(resized(png_video(path), None, 60_000))
    probed = ingested(api, uploaded(api, path), weights).outputs["probe.json"]
    assert json.loads(api.here.store.fetch(probed).read_bytes())["video"]["width"] == 64


def test_picture_that_becomes_a_bomb_later(api: Installation, tmp_path: Path, weights: Any) -> None:
    """The first picture is honest, the second claims to be of 3.6 billion pixels."""
    path = tmp_path / "clip.mov"
    data = png_video(path, 10)
    at = data.index(b"IHDR", data.index(b"IHDR") + 4) + 4
    data[at : at + 8] = (60_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    try:
        done = ingested(api, uploaded(api, path), weights)
    except CounterdubError as error:
        assert error.code in ("too_many_pixels", "decode_memory", "truncated")
    else:
        assert "shots.json" in done.outputs, "the damaged picture was left out"


def test_video_larger_and_longer_than_the_limits(api: Installation, tmp_path: Path, weights: Any) -> None:
    path = odd.clip(tmp_path / "clip.mp4")
    for limits, code in (({"max_bytes": 1000}, "too_large"), ({"max_seconds": 0.5}, "too_long")):
        settings = Settings(limits=LimitSettings(**limits))
        assert refused(api, path, weights, settings).code == code


@pytest.mark.parametrize(("work", "code"), [("hang", "decode_timeout"), ("crash", "decode_crashed")])
def test_decoder_that_hangs_or_crashes_ends_as_a_clear_failure(
    api: Installation, tmp_path: Path, weights: Any, monkeypatch: pytest.MonkeyPatch, work: str, code: str
) -> None:
    call = child.call

    def hanging(_target: str, _arguments: Any, *, timeout: float, progress: Any) -> Any:
        return call(
            f"tests.unit.shared.media.test_probing:{work}",
            {},
            timeout=3 if work == "hang" else timeout,
            progress=progress,
        )

    monkeypatch.setattr(child, "call", hanging)
    error = refused(api, odd.clip(tmp_path / "clip.mp4"), weights)
    assert error.code == code and "convert it" in error.message
