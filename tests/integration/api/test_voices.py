"""Who speaks for whom: the list, auditions in every format, single lines, and asking for auditions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from sqlalchemy import select

from shared.audio.files import write
from shared.core.records import SAMPLE_RATE, AuditionPiece, CastMember, write_list
from shared.ledger.tables import Event, Job
from shared.settings.models import stored_settings
from tests.integration.api.harness import Api


@pytest.fixture
def cast_job(api: Api, finished: str, results: dict[str, Path], tmp_path: Path) -> str:
    """A finished job whose title.json names its cast, and one who is there from an earlier title."""
    record = json.loads(results["kitchen/title.json"].read_text(encoding="utf-8"))
    members = [
        CastMember(speaker=speaker, language="es", voice=voice, gender=gender, native=True, similarity=0.7)
        for speaker, voice, gender in (("S1", "ef_dora", "female"), ("S2", "em_alex", "male"), ("S9", "em_x", "male"))
    ]
    record["cast"] = {"es": [member.model_dump(mode="json") for member in members]}
    path = tmp_path / "title.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    api.publish(finished, {"kitchen/title.json": path})
    return finished


@pytest.fixture
def auditioned(api: Api, cast_job: str, tmp_path: Path) -> str:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    pieces, sounds = [], []
    for number, (kind, voice) in enumerate((("original", None), ("chosen", "ef_dora"), ("alternative", "ef_b"))):
        place = {"start": number * SAMPLE_RATE, "end": (number + 1) * SAMPLE_RATE}
        near = {"similarity": 0.6 if kind == "alternative" else None}
        about = {"speaker": "S1", "utterance": "u0001", "text": "Hola."}
        pieces.append(AuditionPiece.model_validate({**about, "kind": kind, "voice": voice, **near, **place}))
        sounds.append(0.2 * np.sin(2 * np.pi * (200 + 100 * number) * time))
    index = write_list(tmp_path / "es.json", pieces)
    sound = write(tmp_path / "es.flac", np.concatenate(sounds).astype(np.float32))
    api.publish(cast_job, {"kitchen/auditions/es.json": index, "kitchen/auditions/es.flac": sound})
    return cast_job


def test_who_speaks_for_whom(api: Api, cast_job: str) -> None:
    rows = api.client().get(f"/v1/jobs/{cast_job}/voices").json()
    assert [(row["speaker"], row["voice"], row["lines"], row["auditioned"]) for row in rows] == [
        ("S1", "ef_dora", 2, False),
        ("S2", "em_alex", 2, False),
    ], "who is in the cast from an earlier title says nothing here"
    assert rows[0]["seconds"] > 3
    assert rows[0]["language"] == "es"


def test_without_an_audition_there_is_none_to_hear(api: Api, cast_job: str) -> None:
    assert api.client().get(f"/v1/jobs/{cast_job}/voices/es/S1/audition").status_code == 404


@pytest.mark.parametrize(("kind", "codec"), [("mp3", "mp3"), ("ogg", "opus"), ("wav", "pcm")])
def test_an_audition_is_heard_in_every_format(api: Api, auditioned: str, kind: str, codec: str) -> None:
    client = api.client()
    [row, _] = client.get(f"/v1/jobs/{auditioned}/voices").json()
    assert row["auditioned"]
    assert row["alternatives"] == [{"voice": "ef_b", "similarity": 0.6}]
    address = f"/v1/jobs/{auditioned}/voices/es/S1/audition?format={kind}"
    answer = client.get(address)
    assert answer.headers["content-type"] == {"mp3": "audio/mpeg"}.get(kind, f"audio/{kind}")
    with av.open(io.BytesIO(answer.content), "r") as container:
        stream = container.streams.audio[0]
        tags = {**container.metadata, **stream.metadata}
        seconds = sum(frame.samples for frame in container.decode(stream)) / SAMPLE_RATE
        assert stream.codec_context.name.startswith(codec)
    assert 4.0 < seconds < 4.4, "three pieces of a second and two gaps"
    assert "AI-generated speech (Spanish)" in tags["comment"]
    again = client.get(address, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["es/S2", "fr/S1", "es/S1?format=exe", "es/..%2f"])
def test_what_is_not_there(api: Api, auditioned: str, path: str) -> None:
    speaker, _, query = path.partition("?")
    status = api.client().get(f"/v1/jobs/{auditioned}/voices/{speaker}/audition?{query}").status_code
    assert status == (422 if query else 404)


def test_one_line_is_heard_with_a_little_around_it(api: Api, cast_job: str, tmp_path: Path) -> None:
    track = np.full((1, 8 * SAMPLE_RATE), 0.25, np.float32)
    speech = np.zeros((1, 8 * SAMPLE_RATE), np.float32)
    files = {"tracks/es": track, "stems/speech.es": speech}
    api.publish(
        cast_job,
        {
            f"kitchen/{name}.flac": write(tmp_path / f"{number}.flac", audio)
            for number, (name, audio) in enumerate(files.items())
        },
    )
    client = api.client()
    line = next(row for row in client.get(f"/v1/jobs/{cast_job}/utterances/es").json()["items"] if row["id"] == "u0001")
    address = f"/v1/jobs/{cast_job}/utterances/es/u0001/sound?format=flac"
    audio, rate = sf.read(io.BytesIO(client.get(address).content))
    assert rate == SAMPLE_RATE
    assert audio.size / rate == pytest.approx(line["end"] - line["start"] + 0.5, abs=0.01)
    assert audio[rate // 2] == pytest.approx(0.25, abs=1e-3)
    alone, _ = sf.read(io.BytesIO(client.get(f"{address}&alone=true").content))
    assert np.abs(alone).max() == 0
    assert client.get(address.replace("u0001", "u9999")).status_code == 404
    assert client.get(address.replace("format=flac", "format=mp3")).headers["content-type"] == "audio/mpeg"


def test_pieces_come_compressed_too(api: Api, cast_job: str) -> None:
    client, address = api.client(), f"/v1/jobs/{cast_job}/sounds/es/piece?seconds=1"
    plain, small = client.get(address), client.get(f"{address}&format=ogg")
    assert plain.headers["content-type"] == "audio/flac"
    assert small.headers["content-type"] == "audio/ogg"
    assert len(small.content) < len(plain.content) / 3
    assert plain.headers["etag"] != small.headers["etag"]


def test_other_callers_hear_no_voices(api: Api, auditioned: str) -> None:
    _, stranger = api.key("jobs:read")
    client = api.client(stranger)
    for path in ("voices", "voices/es/S1/audition", "utterances/es/u0001/sound"):
        assert client.get(f"/v1/jobs/{auditioned}/{path}").status_code == 404


def test_a_job_is_opened_again_for_auditions(api: Api, cast_job: str) -> None:
    client = api.client()
    answer = client.post(f"/v1/jobs/{cast_job}/auditions")
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "running"
    with api.database.read() as session:
        settings, unread = stored_settings(session.get_one(Job, cast_job).settings)
        assert settings.auditions.wanted
        assert not unread
        events = session.scalars(select(Event.kind).where(Event.job_id == cast_job)).all()
    assert "job_auditioned" in events
    assert client.post(f"/v1/jobs/{cast_job}/auditions").status_code == 409, "it runs"
