"""Translations that people have, from file and stream to speech."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from av.stream import Disposition

from shared.core.records import DubbedUtterance, read_jsonl
from shared.core.text import normalise
from shared.media.subtitles import Cue, to_srt
from tests.integration.films import cli
from tests.integration.films.conftest import Battered
from tests.integration.films.test_rerun import latest_tasks
from tests.unit.shared.media.subtitled import Subtitles, with_subtitles

ENGLISH = [
    Cue(0.1, 3.7, "Good evening, Tom.\nPlease come in, it is raining outside."),
    Cue(4.0, 7.2, "Thank you, Anna.\nI missed the last train to the city."),
]
SPANISH = [
    Cue(0.1, 3.7, "Buenas noches, Tom. Pase, por favor, que llueve."),
    Cue(4.0, 7.2, "Gracias, Anna. Se me fue el último tren."),
]


def lines(out: Path, title: str, track: str = "es") -> list[DubbedUtterance]:
    return read_jsonl(out / title / "utterances" / f"{track}.jsonl", DubbedUtterance)


def notes(result: cli.Ended) -> dict[str, str]:
    return {note["kind"]: note["message"] for note in result.data["titles"][0]["notes"]}


def words(cues: list[Cue]) -> list[str]:
    return normalise(" ".join(cue.text for cue in cues)).split()


@pytest.mark.slow
def test_a_file_is_spoken_word_for_word_and_redoes_its_language_alone(
    finished: Path, battered: Battered, tmp_path: Path
) -> None:
    text = tmp_path / "film.es.srt"
    text.write_text(to_srt(SPANISH, "es"))
    ask = ("dub", battered.video, "-l", "en", "-l", "es", "-o", finished, "--json")
    result = cli.here(*ask, "--translation", f"es={text}")
    assert result.code == 0, result.stdout
    spoken = lines(finished, "dialogue")
    assert [word for line in spoken for word in normalise(line.text).split()] == words(SPANISH)
    assert {line.translator for line in spoken} == {"given"}
    assert "lines are spoken as the Spanish translation says" in notes(result)["translation_given"]
    made = {name for name, row in latest_tasks(finished).items() if not row["cached"]}
    assert {"alignment/es", "translation/es/0000", "dubbing/es/0000"} <= made
    assert not made & {"ingest", "separation/0000", "transcription/0000", "dubbing/en/0000", "control/0000", "cast/es"}
    again = cli.here(*ask)
    assert again.data["computed_tasks"] == 0, "the folder remembers what it was given"


@pytest.mark.slow
def test_streams_of_the_video_are_transcript_and_translation(
    finished: Path, battered: Battered, tmp_path: Path
) -> None:
    streams = [
        Subtitles(SPANISH[:1], "spa", "Forzados", Disposition.forced),
        Subtitles([SPANISH[0], SPANISH[1]._replace(text="[TREN] " + SPANISH[1].text)], "spa", "SDH"),
        Subtitles(ENGLISH, "eng", ""),
    ]
    film = with_subtitles(battered.video, streams, tmp_path / "subtitled.mkv")
    result = cli.here("dub", film, "-l", "es", "-o", finished, "--subtitles", "embedded", "--json")
    assert result.code == 0, result.stdout
    spoken = lines(finished, "subtitled")
    assert normalise(" ".join(line.source_text for line in spoken)).split() == words(ENGLISH)
    assert [word for line in spoken for word in normalise(line.text).split()] == words(SPANISH)
    assert notes(result)["subtitles_used"]
    record: dict[str, Any] = json.loads((finished / "subtitled" / "title.json").read_text())
    messages = [note["message"] for note in record["notes"] if note["kind"] == "subtitles_used"]
    assert any("is the transcript" in text for text in messages)
    assert any("is the Spanish translation" in text and "stream 2 is forced" in text for text in messages)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--translation", "fr={file}"], "translation_not_asked"),
        (["--translation", "klingonish={file}"], "unknown_language"),
        (["--translation", "{file}"], "bad_translation"),
        (["--translation", "es=nowhere.srt"], "bad_translation"),
        (["--subtitles", "burnt"], "unknown_subtitles"),
        (["{second}", "--translation", "es={file}"], "translation_needs_one_video"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(
    tmp_path: Path, arguments: list[str], code: str
) -> None:
    film, second, file = (tmp_path / name for name in ("film.mp4", "second.mp4", "film.srt"))
    for path in (film, second, file):
        path.write_bytes(b"x")
    wanted = [part.format(file=file, second=second) for part in arguments]
    result = cli.here("dub", film, *wanted, "-l", "es", "-o", tmp_path / "out", "--json")
    assert (result.code, result.error["code"]) == (2, code)
    assert not (tmp_path / "out").exists()
