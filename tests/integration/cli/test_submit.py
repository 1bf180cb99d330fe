"""``counterdub submit`` against the real REST interface, over good and broken connections."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from services.cli.client import remote, upload
from services.cli.client.download import fetch_all, target
from services.cli.client.follow import Watch, follow, messages
from services.cli.client.remote import Server
from services.cli.client.upload import SubmitOrder, submit
from shared.core.errors import CounterdubError, StorageError
from shared.pipeline.events import RunEvent
from tests.integration.cli.conftest import Installation, counterdub, said, soon
from tests.integration.cli.flaky import flaky

LARGE = 6 * 2**20


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "Film é.mp4"
    path.write_bytes(b"not looked at before a worker does" * 100)
    return path


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A video that is uploaded in parts."""
    monkeypatch.setattr(upload, "SMALL_BYTES", 2**20)
    path = tmp_path / "large.mp4"
    path.write_bytes(os.urandom(LARGE))
    return path


def nothing(*_: object) -> None: ...


def test_a_small_video_goes_with_the_request(server: Installation, video: Path, tmp_path: Path) -> None:
    transcript = tmp_path / "film.srt"
    transcript.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    result = counterdub(
        "submit", video, "--lang", "es", "--lang", "French", "--url", server.url, "--set", "dubbing.seed=3",
        "--name", "first", "--transcript", transcript, "--translation", f"es={transcript}", "--subtitles", "embedded",
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (job,), (title,) = server.jobs(), server.titles()
    assert said(result)["id"] == job.id
    assert (job.languages, job.name, job.settings["dubbing"]["seed"]) == (["es", "fr"], "first", 3)
    assert title.source_name == video.name
    assert title.transcript is not None
    assert title.translations["es"]["sha256"] == title.transcript["sha256"] and title.subtitles == "embedded"
    assert server.content(title) == video.read_bytes()
    assert server.uploads() == []


def test_a_large_video_is_uploaded_in_parts(server: Installation, large: Path, video: Path) -> None:
    told: list[int] = []
    with Server(server.url) as client:
        submit(client, SubmitOrder([large, video], [], ["es"]), lambda name, done, size: told.append(done))
    assert [server.content(title) for title in server.titles()] == [large.read_bytes(), video.read_bytes()]
    assert told[0] == 0
    assert LARGE in told


def test_an_upload_goes_on_where_it_broke(server: Installation, large: Path) -> None:
    with flaky(server.port) as way, Server(f"http://127.0.0.1:{way.port}") as client:
        way.up = [3 * 2**20, 2 * 2**20]
        way.refuse = 1
        sent: list[int] = []
        made = submit(client, SubmitOrder([large], [], ["es"]), lambda name, done, size: sent.append(done))
    assert way.cut == 2
    (title,) = server.titles()
    assert server.content(title) == large.read_bytes()
    assert [job.id for job in server.jobs()] == [made["id"]]
    starts = [done for done, before in zip(sent[1:], sent, strict=False) if done < before]
    assert starts
    assert all(start > 0 for start in starts), "it began again from nothing"


def test_an_answer_that_is_lost_makes_no_second_job(server: Installation, video: Path) -> None:
    with flaky(server.port) as way, Server(f"http://127.0.0.1:{way.port}") as client:
        way.down = [20]
        made = submit(client, SubmitOrder([video], [], ["es"]), nothing)
    assert way.cut == 1
    assert [job.id for job in server.jobs()] == [made["id"]]


def test_urls_are_passed_on(server: Installation) -> None:
    result = counterdub("submit", "https://example.org/a/clip.mp4", "-l", "es", "--url", server.url)
    assert result.exit_code == 0, result.output
    (title,) = server.titles()
    assert (title.source_kind, title.source) == ("url", "https://example.org/a/clip.mp4")
    assert server.jobs()[0].id in result.stdout


def test_a_key_is_asked_for(closed_server: Installation, video: Path) -> None:
    order = ("submit", video, "-l", "es", "--url", closed_server.url, "--json")
    refused = counterdub(*order)
    assert (refused.exit_code, said(refused)["error"]["code"]) == (2, "unauthenticated")
    assert closed_server.key is not None
    wrong = counterdub(*order, COUNTERDUB_API_KEY="cdk_wrong")
    assert wrong.exit_code == 2
    assert "cdk_wrong" not in wrong.output
    assert counterdub(*order, COUNTERDUB_API_KEY=closed_server.key).exit_code == 0
    assert counterdub(*order, "--key", closed_server.key).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["-l", "es"], "no_input"),
        (["missing.mp4", "-l", "es"], "no_input"),
        (["VIDEO"], "no_language"),
        (["VIDEO", "-l", "xx-nonsense"], "unknown_language"),
        (["VIDEO", "-l", "es", "--set", "dubbing.nonsense=1"], "bad_setting"),
        (["VIDEO", "-l", "es", "--profile", "nonsense"], "unknown_profile"),
        (["VIDEO", "VIDEO2", "-l", "es", "--transcript", "VIDEO"], "transcript_needs_one_video"),
        (["VIDEO", "-l", "es", "--url", "nonsense"], "bad_url"),
        (["--job", "job_" + "0" * 32, "--wait"], "not_found"),
    ],
)
def test_wrong_requests(server: Installation, video: Path, tmp_path: Path, arguments: list[str], code: str) -> None:
    second = tmp_path / "second.mp4"
    second.write_bytes(b"x")
    given = [{"VIDEO": str(video), "VIDEO2": str(second)}.get(item, item) for item in arguments]
    result = counterdub("submit", "--url", server.url, "--json", *given)
    assert (result.exit_code, said(result)["error"]["code"]) == (2, code)
    assert server.jobs() == []


def test_no_server(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.Server.__init__, "__defaults__", (None, 0.2))
    result = counterdub("submit", video, "-l", "es", "--url", "http://127.0.0.1:1", "--json")
    assert (result.exit_code, said(result)["error"]["code"]) == (3, "server_away")


def submitted(server: Installation, video: Path) -> str:
    with Server(server.url) as client:
        return str(submit(client, SubmitOrder([video], [], ["es"]), nothing)["id"])


def test_events_are_heard_once_each_over_a_broken_connection(server: Installation, video: Path) -> None:
    job = submitted(server, video)
    heard: list[RunEvent] = []
    watch = Watch(heard.append)

    def work() -> None:
        for index in range(40):
            server.tell(job, "task_started", title="Film é", task=f"t{index}", stage="dubbing", language="es")
            server.tell(job, "task_done", title="Film é", task=f"t{index}", stage="dubbing", language="es", seconds=1.0)
            time.sleep(0.02)
        server.end(job)

    with flaky(server.port) as way, Server(f"http://127.0.0.1:{way.port}") as client:
        way.down = [2000, 3000, 2500]
        worker = soon(work)
        follow(client, job, watch)
        worker.join()
    assert way.cut == 3
    assert [event.task for event in heard if event.kind == "task_done"] == [f"t{index}" for index in range(40)]
    assert watch.reached == server.jobs()[0].events
    assert watch.exit_code(1, 0) == 0


@pytest.mark.parametrize(
    ("state", "failed", "language_failed", "code"),
    [("done", 0, False, 0), ("done", 0, True, 1), ("failed", 1, False, 3), ("cancelled", 0, False, 130)],
)
def test_exit_codes_are_those_of_dub(
    server: Installation, video: Path, state: str, failed: int, language_failed: bool, code: int
) -> None:
    job = submitted(server, video)
    error = {"code": "no_voice", "message": "There is no voice."}
    if language_failed:
        server.tell(job, "task_failed", title="Film é", task="dubbing/es/0000", language="es", error=error, again=True)
        server.tell(job, "task_failed", title="Film é", task="dubbing/es/0000", language="es", error=error, again=False)
    server.end(job, state, failed)
    result = counterdub("submit", "--job", job, "--wait", "--url", server.url, "--json")
    assert result.exit_code == code, result.output
    assert said(result)["state"] == state
    assert len(said(result)["failures"]) == language_failed


FILES = {"report.html": b"<html>", "Film é/tracks/es.flac": os.urandom(3 * 2**20), "Film é/shots/Film é_0_es.mp4": b"x"}


def test_results_are_laid_out_and_not_fetched_twice(server: Installation, video: Path, tmp_path: Path) -> None:
    job = submitted(server, video)
    for path, content in FILES.items():
        server.artifact(job, path, content, tmp_path)
    soon(lambda: server.end(job), 0.5)
    out = tmp_path / "out"
    result = counterdub("submit", "--job", job, "--out", out, "--url", server.url)
    assert result.exit_code == 0, result.output
    assert "3 pair rows accepted, 1 rejected" in result.stdout
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == FILES
    before = {name: path.stat().st_mtime_ns for name, path in found.items()}
    (out / "report.html").write_bytes(b"<HTML>")
    assert counterdub("submit", "--job", job, "--out", out, "--url", server.url).exit_code == 0
    after = {name: path.stat().st_mtime_ns for name, path in found.items()}
    assert [name for name in FILES if before[name] != after[name]] == ["report.html"]
    assert (out / "report.html").read_bytes() == b"<html>"


def test_a_file_that_breaks_off_goes_on(server: Installation, video: Path, tmp_path: Path) -> None:
    job = submitted(server, video)
    server.artifact(job, "Film é/tracks/es.flac", FILES["Film é/tracks/es.flac"], tmp_path)
    with Server(server.url) as client:
        files = list(client.items(f"/v1/jobs/{job}/files"))
    with flaky(server.port) as way, Server(f"http://127.0.0.1:{way.port}") as client:
        # 3 MiB are to be had in three connections, if each only brings the rest.
        way.down = [2**20, 2**20, 2**20 + 2**17]
        fetch_all(client, files, tmp_path / "out", nothing)
        assert way.cut == 2
        assert way.connections == 3
    assert (tmp_path / "out" / "Film é" / "tracks" / "es.flac").read_bytes() == FILES["Film é/tracks/es.flac"]
    assert not list((tmp_path / "out").rglob("*.part"))


def test_damage_is_noticed(server: Installation, video: Path, tmp_path: Path) -> None:
    job = submitted(server, video)
    server.artifact(job, "report.html", b"<html>", tmp_path)
    with Server(server.url) as client:
        (file,) = client.items(f"/v1/jobs/{job}/files")
        with pytest.raises(StorageError) as error:
            fetch_all(client, [{**file, "sha256": "0" * 64}], tmp_path / "out", nothing)
    assert error.value.code == "damaged_download"
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a\\..\\x", "c:x", ""])
def test_a_server_cannot_write_elsewhere(tmp_path: Path, path: str) -> None:
    with pytest.raises(CounterdubError) as error:
        target(tmp_path, path)
    assert error.value.code == "unsafe_path"


def test_ctrl_c_leaves_the_job_running(server: Installation, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submitted(server, video)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("services.cli.client.follow.follow", interrupted)
    result = counterdub("submit", "--job", job, "--wait", "--url", server.url)
    assert result.exit_code == 130
    assert f"--job {job} --wait" in result.stderr
    assert server.jobs()[0].state == "running"


def test_events_are_read_however_they_arrive() -> None:
    stream = (
        ': ping\n\nid: 1\nevent: a\ndata: {"x": "é\u2028"}\n\nid: 2\r\ndata: b\r\ndata: c\r\n\r\ndata: cut o'.encode()
    )
    for size in (1, 3, len(stream)):
        blocks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [data for data in messages(blocks) if data] == ['{"x": "é\u2028"}', "b\nc"]
