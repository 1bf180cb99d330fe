"""Pieces of sound to play and to draw, earlier versions of lines, rows as columns, archives."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from shared.audio.files import read_audio, write
from shared.core.edits import LineAddress
from shared.ledger.database import append_event, locked_job
from tests.integration.api.harness import Api

SECONDS = 6.0


@pytest.fixture
def sounds(api: Api, finished: str, tmp_path: Path) -> dict[str, Path]:
    """A title whose tracks are a background and speech, as the pipeline makes them."""
    rng = np.random.default_rng(1)
    count = round(SECONDS * 48_000)
    background = np.rint(rng.normal(0, 0.05, (2, count)) * 2**15) / 2**15
    speech = np.zeros((2, count))
    speech[:, 96_000:144_000] = 0.25 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    made = {
        "tracks/control": background,
        "tracks/es": background + np.rint(speech * 2**15) / 2**15,
        "stems/speech.es": np.rint(speech * 2**15) / 2**15,
        "stems/background": background,
    }
    paths = {name: tmp_path / f"{name.replace('/', '-')}.flac" for name in made}
    for name, audio in made.items():
        write(paths[name], audio.astype(np.float32))
    api.publish(finished, {f"kitchen/{name}.flac": path for name, path in paths.items()})
    return paths


def test_what_can_be_heard_is_listed(api: Api, finished: str, sounds: dict[str, Path]) -> None:
    found = api.client().get(f"/v1/jobs/{finished}/sounds").json()
    assert [one["name"] for one in found] == ["orig", "control", "es", "background", "speech.es"]
    assert [one["kind"] for one in found] == ["track", "track", "track", "stem", "speech"]
    assert api.client().get(found[2]["href"]).content == sounds["tracks/es"].read_bytes()


@pytest.mark.parametrize(("start", "seconds"), [(0, 2), (1.2345, 0.7), (5.5, 4)])
def test_pieces_are_exact_to_the_sample(
    api: Api, finished: str, sounds: dict[str, Path], start: float, seconds: float
) -> None:
    answer = api.client().get(f"/v1/jobs/{finished}/sounds/es/piece?start={start}&seconds={seconds}")
    audio, rate = sf.read(io.BytesIO(answer.content), dtype="float32", always_2d=True)
    assert rate == 48_000
    first = round(start * 48_000)
    wanted = read_audio(sounds["tracks/es"])[:, first : first + round(seconds * 48_000)]
    assert audio.T.shape == wanted.shape
    assert np.array_equal(audio.T, wanted), "the material has 16 bits, so nothing may be lost"


def test_behind_the_end_there_is_nothing(api: Api, finished: str, sounds: dict[str, Path]) -> None:
    assert api.client().get(f"/v1/jobs/{finished}/sounds/es/piece?start={SECONDS}").status_code == 404
    peaks = api.client().get(f"/v1/jobs/{finished}/sounds/es/peaks?start=5.5&seconds=2&points=4").json()
    assert peaks["seconds"] == 0.5


@pytest.mark.parametrize("name", ["piece", "peaks", "spectrogram"])
def test_a_damaged_sound_is_told_like_a_lost_one(
    api: Api, finished: str, sounds: dict[str, Path], tmp_path: Path, name: str
) -> None:
    damaged = tmp_path / "damaged.flac"
    damaged.write_bytes(b"no sound")
    api.publish(finished, {"kitchen/tracks/es.flac": damaged})
    answer = api.client().get(f"/v1/jobs/{finished}/sounds/es/{name}?start=0&seconds=1")
    assert (answer.status_code, answer.json()["code"]) == (404, "artifact_lost")
    assert "damaged" in answer.text and str(tmp_path) not in answer.text


def test_a_piece_that_is_known_is_not_sent_again(api: Api, finished: str, sounds: dict[str, Path]) -> None:
    client = api.client()
    for what in ("piece?", "peaks?", "spectrogram?"):
        address = f"/v1/jobs/{finished}/sounds/es/{what}seconds=1"
        first = client.get(address)
        assert client.get(address, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
        assert client.get(f"{address}&start=1").headers["etag"] != first.headers["etag"]


def test_peaks_and_difference_show_what_the_samples_say(api: Api, finished: str, sounds: dict[str, Path]) -> None:
    client = api.client()
    base = f"/v1/jobs/{finished}/sounds"
    found = client.get(f"{base}/speech.es/peaks?seconds=6&points=60").json()
    assert len(found["low"]) == len(found["high"]) == 60
    assert set(found["high"][:20]) == {0}
    assert all(31 <= value <= 32 for value in found["high"][21:29]), "a quarter of full scale"
    difference = client.get(f"{base}/es/peaks?seconds=6&points=60&minus=control").json()
    assert difference == found
    nothing = client.get(f"{base}/control/peaks?seconds=6&points=60&minus=background").json()
    assert set(nothing["low"]) == set(nothing["high"]) == {0}


def test_a_spectrogram_shows_the_tone(api: Api, finished: str, sounds: dict[str, Path]) -> None:
    answer = api.client().get(f"/v1/jobs/{finished}/sounds/speech.es/spectrogram?seconds=6&width=120&height=96")
    assert (answer.headers["x-width"], answer.headers["x-height"]) == ("120", "96")
    levels = np.frombuffer(answer.content, np.uint8).reshape(96, 120)
    assert levels[:, :35].max() == 0
    row = int(levels[:, 50].argmax())
    from shared.audio.mel import hertz_to_mel

    expected = 96 * (1 - float(hertz_to_mel(np.array(440.0)) / hertz_to_mel(np.array(16_000.0))))
    assert abs(row - expected) <= 2
    behind = api.client().get(f"/v1/jobs/{finished}/sounds/es/spectrogram?start=100&width=120&height=96")
    assert np.frombuffer(behind.content, np.uint8).max() == 0


@pytest.mark.parametrize(
    "asked",
    [
        "es/piece?seconds=31",
        "es/peaks?seconds=121",
        "es/peaks?points=4001",
        "es/spectrogram?width=2001",
        "es/piece?start=-1",
    ],
)
def test_too_much_is_refused(api: Api, finished: str, sounds: dict[str, Path], asked: str) -> None:
    assert api.client().get(f"/v1/jobs/{finished}/sounds/{asked}").status_code == 422


@pytest.mark.parametrize("name", ["ja", "speech.ja", "..%2ftitle", "speech.speech.es", "es.flac"])
def test_what_is_not_there_is_not_found(api: Api, finished: str, sounds: dict[str, Path], name: str) -> None:
    assert api.client().get(f"/v1/jobs/{finished}/sounds/{name}/piece").status_code == 404


def test_other_callers_hear_nothing(tmp_path: Path, finished: str, api: Api, sounds: dict[str, Path]) -> None:
    _, stranger = api.key("jobs:read")
    client = api.client(stranger)
    for path in ("sounds", "sounds/es/piece", "sounds/es/peaks", "sounds/es/spectrogram", "tasks", "archive/lvu-m"):
        assert client.get(f"/v1/jobs/{finished}/{path}").status_code == 404
    assert client.get(f"/v1/dataset?job={finished}").status_code == 404
    assert client.get("/v1/dataset").json()["rows"] == 0


def test_an_earlier_version_is_kept_and_heard(api: Api, finished: str, sounds: dict[str, Path]) -> None:
    from services.api.routes.versions import line_as_spoken
    from shared.ledger.tables import Job

    with api.database.write() as session:
        job = session.get_one(Job, finished)
        old = line_as_spoken(api.here, session, job, LineAddress(None, "es", "u0001"))
        assert old is not None
        locked = locked_job(session, finished)
        assert locked is not None
        append_event(session, locked, "line_edited", title="kitchen", language="es", utterance="u0001", before=old)
        assert line_as_spoken(api.here, session, job, LineAddress(None, "es", "u9999")) is None
        assert line_as_spoken(api.here, session, job, LineAddress(None, "it", "u0001")) is None
    # The title was made anew: the track is another one now.
    api.publish(finished, {"kitchen/tracks/es.flac": sounds["stems/background"]})
    client = api.client()
    [version] = client.get(f"/v1/jobs/{finished}/utterances/es/u0001/versions").json()
    assert version["line"]["text"] == "¿Has oído ese ruido?"
    audio, _ = sf.read(io.BytesIO(client.get(version["href"]).content), dtype="float32", always_2d=True)
    first = round(max(0.0, version["line"]["start"] - 0.25) * 48_000)
    assert np.array_equal(audio.T, read_audio(sounds["tracks/es"])[:, first : first + len(audio)])
    assert client.get(f"/v1/jobs/{finished}/utterances/es/u0002/versions").json() == []
    assert client.get(version["href"].replace("u0001", "u0002")).status_code == 404
    assert client.get(version["href"].replace("/es/", "/fr/")).status_code == 404


def test_rows_come_as_columns(api: Api, finished: str, results: dict[str, Path]) -> None:
    found = api.client().get(f"/v1/dataset?job={finished}&title=kitchen").json()
    rows = [pq.read_table(results[name]).to_pylist() for name in ("pairs.parquet", "rejects.parquet")]
    assert found["rows"] == found["total"] == sum(len(part) for part in rows)
    assert sum(found["accepted"]) == len(rows[0])
    tracks = [found["labels"]["track"]["names"][code] for code in found["labels"]["track"]["codes"]]
    told = {(found["shot"][at], tracks[at]): at for at in range(found["rows"])}
    for row in (*rows[0], *rows[1]):
        at = told[row["shot"], row["track"]]
        assert found["accepted"][at] == row["accepted"]
        assert found["reasons"][at] == row["reasons"]
        value = found["metrics"]["round_trip_cer"][at]
        assert value == (None if row["round_trip_cer"] is None else pytest.approx(row["round_trip_cer"], abs=1e-4))
    assert found["thresholds"]["max_round_trip_cer"] == 0.5
    assert "true_peak_dbtp" not in found["thresholds"]
    assert api.client().get(f"/v1/dataset?job={finished}&title=other").json()["rows"] == 0


def test_archives_hold_the_files(api: Api, finished: str, results: dict[str, Path]) -> None:
    client = api.client()
    clips = zipfile.ZipFile(io.BytesIO(client.get(f"/v1/jobs/{finished}/archive/lvu-m").content))
    assert clips.testzip() is None
    wanted = {name for name in results if "/shots/" in name} | {"pairs.parquet"}
    assert set(clips.namelist()) == wanted
    for name in wanted:
        assert clips.read(name) == results[name].read_bytes()
    answer = client.get(f"/v1/jobs/{finished}/archive/everything")
    assert set(zipfile.ZipFile(io.BytesIO(answer.content)).namelist()) == set(results)
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="{finished}-everything.zip"')
    assert client.get(f"/v1/jobs/{finished}/archive/other").status_code == 404
    unfinished = api.job()
    assert client.get(f"/v1/jobs/{unfinished}/archive/everything").json()["code"] == "not_ready"


def test_profiles_tell_what_must_be_accepted(api: Api) -> None:
    found = {one["name"]: one for one in api.client().get("/v1/profiles").json()}
    assert next(iter(found)) == "cpu"
    assert found["cpu"]["to_accept"] == []
    assert found["paper"]["to_accept"] == ["CC-BY-NC-4.0"]
    assert "SeamlessM4T" in found["paper"]["description"]
    assert {"kind": "synthesizer", "engine": "kokoro", "licence": "Apache-2.0"}.items() <= found["cpu"]["terms"][
        -1
    ].items()


def test_jobs_are_told_of_as_they_change(api: Api) -> None:
    from services.api.auth.keys import ANYBODY, caller_of
    from services.api.routes.activity import look

    def stamps(caller: Any) -> dict[str, Any]:
        return {job.id: job.stamp for job in look(api.here, caller)}

    first = api.job()
    before = stamps(ANYBODY)
    assert list(before) == [first]
    assert stamps(ANYBODY) == before
    assert json.loads(look(api.here, ANYBODY)[0].text.split(b"data: ")[1])["id"] == first
    second = api.job()
    api.tell(first, "task_done")
    after = stamps(ANYBODY)
    assert set(after) == {first, second} and after[first] != before[first]
    key_id, secret = api.key("jobs:read")
    own = api.job(key_id)
    caller = caller_of(api.database, secret)
    assert caller is not None
    assert list(stamps(caller)) == [own]


def test_no_more_rows_than_can_be_shown(api: Api, finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = api.client().get(f"/v1/dataset?job={finished}").json()
    monkeypatch.setattr("services.api.routes.dataset.MAX_ROWS", 7)
    part = api.client().get(f"/v1/dataset?job={finished}").json()
    assert (part["rows"], part["total"]) == (7, whole["rows"])
    assert len(part["shot"]) == len(part["metrics"]["start"]) == len(part["labels"]["track"]["codes"]) == 7
