"""Films and transcripts as people have them, through the whole program: what the handed inputs' READMEs expect.

Each kind is made anew in unit tests of its part (transcription, media, pipeline). Here the handed
files are read where they are, and others, made here, go the whole way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest

from shared.core.records import Note
from shared.media.probing import Wanted, probe
from tests.integration.films import cli, media
from tests.unit.shared.media import several

# name → what comes of it: code of the error, or the texts (and speakers) that are spoken, and kinds of notes.
ENGLISH = (
    "Good evening, Tom. Please come in, it is raining outside.",
    "Thank you, Anna. I missed the last train to the city.",
    "You can sleep here tonight. Would you like some hot tea?",
)
ROLLED = (
    "Good evening Tom please come in",
    "it is raining outside thank you Anna",
    "I missed the last train to the city",
    "you can sleep here tonight would you",
    "like some hot tea",
)
TRANSCRIPTS: dict[str, tuple[str, tuple[str, ...], set[str]]] = {
    "20-blank-line-in-cue/film.srt": ("en", ENGLISH, set()),
    "22-youtube-rolling/film.vtt": ("en", ROLLED, {"transcript_rolling"}),
    "26-ms-json/film.json": ("en", ENGLISH, {"transcript_times"}),
    "39-arrow-json/film.json": ("en", ("Open the menu: File --> Save as.", ENGLISH[1]), set()),
    "50-redub/film.srt": (
        "en",
        (*ENGLISH[:2], "You can sleep here tonight.", "Would you like some hot tea?"),
        {"transcript_bad_times"},
    ),
    "32-repeated-first-word/film.srt": (
        "en",
        (
            "Remember: the door is open, Tom.",
            "Remember: the last train leaves at nine.",
            "You can sleep here tonight.",
        ),
        set(),
    ),
    "34-speaker-marks/film.srt": (
        "en",
        (
            "Good evening, Tom. Please come in.",
            "Thank you, Anna.",
            "You are welcome.",
            "I missed the last train to the city.",
        ),
        set(),
    ),
    "25-cp1251/film.srt": (
        "ru",
        (
            "Добрый вечер, Том. Пожалуйста, входи, на улице дождь.",
            "Спасибо, Анна. Я опоздал на последний поезд в город.",
            "Ты можешь переночевать здесь. Хочешь горячего чая?",
        ),
        {"transcript_encoding"},
    ),
    "25-cp1251/sjis.srt": (
        "ja",
        ("こんばんは、トム。入ってください、外は雨です。", "ありがとう、アンナ。終電を逃しました。"),
        {"transcript_encoding"},
    ),
}
REFUSED = {"36-translated-srt/film.srt": "transcript_language", "25-cp1251/film.srt": "transcript_language"}


@pytest.fixture(scope="session")
def wild(data_dir: Path) -> Path:
    if not (data_dir / "wild").is_dir():
        pytest.skip("the handed wild inputs are not here")
    return data_dir / "wild"


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_handed_transcripts(wild: Path, name: str) -> None:
    from shared.transcripts.transcript import read_transcript

    language, texts, kinds = TRANSCRIPTS[name]
    notes: list[Note] = []
    lines = read_transcript(wild / name, 12.0, language, notes.append)
    assert tuple(given.cue.text for given in lines) == texts
    assert {note.kind for note in notes} == kinds
    if name.startswith("34"):
        assert [given.cue.speaker for given in lines] == ["ANNA", "TOM", "ANNA", "TOM"]
    if name.startswith("32"):
        assert not any(given.cue.speaker for given in lines)


@pytest.mark.parametrize(
    ("name", "video", "audio", "seconds"),
    [
        ("02-ts-concat/film.ts", 0, 1, 12.03),
        ("03-copy-cut/film.mp4", 0, 1, 8.51),
        ("05-two-programs/film.ts", 1, 2, 12.03),
        ("10-cover-track/film.mkv", 1, 2, 8.1),
    ],
)
def test_handed_films(wild: Path, name: str, video: int, audio: int, seconds: float) -> None:
    found = probe(wild / name)
    assert found.audio is not None
    assert (found.video.index, found.audio.index) == (video, audio)
    assert found.duration == pytest.approx(seconds, abs=0.05)
    assert found.notes


def dub(film: Path, out: Path, *more: str | Path) -> cli.Ended:
    return cli.here("dub", film, "-l", "es", "-o", out, *cli.LIGHT, *more, "--json")


def record(out: Path, title: str = "film") -> dict[str, Any]:
    return json.loads((out / title / "title.json").read_text(encoding="utf-8"))


def spoken(out: Path, track: str) -> dict[str, dict[str, Any]]:
    rows = (out / "film" / "utterances" / f"{track}.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: row for row in map(json.loads, rows)}


def srt(*cues: tuple[str, str, str]) -> str:
    return "".join(f"{n}\n{start} --> {end}\n{text}\n\n" for n, (start, end, text) in enumerate(cues, 1))


@pytest.mark.slow
def test_a_film_with_an_odd_transcript_goes_the_whole_way(tmp_path: Path, all_weights: None) -> None:
    """An arrow, a line without length, an edit, another transcript, refusals: one folder, one state after each."""
    film, out = media.dialogue(tmp_path / "film.mp4"), tmp_path / "out"
    first = tmp_path / "first.srt"
    first.write_text(
        srt(
            ("00:00:00,200", "00:00:03,600", "Open the menu: File --> Save as."),
            ("00:00:03,900", "00:00:03,900", "This line has no length."),
            ("00:00:04,100", "00:00:07,100", "Thank you, Anna. I missed the last train to the city."),
        )
    )
    done = dub(film, out, "--transcript", first)
    assert done.code == 0, done.stdout
    assert done.data["titles"][0]["notes"], "what is left out is in the summary"
    for track in ("en", "es", "control"):
        assert spoken(out, track)["u0002"]["status"] == "dropped", track
    assert "File --> Save as." in (out / "film" / "subtitles" / "en.srt").read_text(encoding="utf-8")
    with av.open(str(out / "film" / "film.mkv")) as container:
        english = next(stream for stream in container.streams.subtitles if stream.language == "eng")
        assert any(b"File --> Save as." in bytes(packet) for packet in container.demux(english))
    before = {path: path.read_bytes() for path in (out / "film").rglob("*") if path.is_file()}
    for utterance, text, code in (("u0002", "Hola.", "dropped_line"), ("u0001", "", "empty_text")):
        refused = cli.here("redub", out, "--utterance", utterance, "-l", "es", "--text", text, "--json")
        assert (refused.code, refused.error["code"]) == (2, code)
    assert before == {path: path.read_bytes() for path in (out / "film").rglob("*") if path.is_file()}
    edit = cli.here("redub", out, "--utterance", "u0003", "-l", "es", "--text", "El tren --> se fue sin mí.", "--json")
    assert edit.code == 0 and spoken(out, "es")["u0003"]["edited"]
    second = tmp_path / "second.srt"
    second.write_text(
        srt(
            ("00:00:00,200", "00:00:01,200", "Open the menu."),
            ("00:00:01,400", "00:00:03,600", "Please come in, it is raining outside."),
            ("00:00:04,100", "00:00:07,100", "Thank you, Anna. I missed the last train to the city."),
        )
    )
    assert dub(film, out, "--transcript", second).code == 0
    now = spoken(out, "es")
    assert [row["edited"] for row in now.values()] == [False, False, True]
    assert now["u0003"]["text"] == "El tren --> se fue sin mí."


@pytest.mark.slow
def test_transcripts_that_are_none_fail_with_the_reason(tmp_path: Path, all_weights: None) -> None:
    film = media.dialogue(tmp_path / "film.mp4")
    spanish, late = tmp_path / "spanish.srt", tmp_path / "late.srt"
    spanish.write_text(
        srt(
            ("00:00:00,200", "00:00:03,600", "Buenas noches, Tom. Pasa, por favor, está lloviendo."),
            ("00:00:04,100", "00:00:07,100", "Gracias, Ana. Perdí el último tren a la ciudad."),
        ),
        encoding="utf-8",
    )
    late.write_text(
        srt(("00:03:20,000", "00:03:22,000", "Good evening, Tom."), ("00:03:30,000", "00:03:31,000", "Come in."))
    )
    for given, code, words in (
        (spanish, "transcript_language", ("Spanish", "English")),
        (late, "transcript_unusable", ("all 2 lines", "200 s of 7 s", "milliseconds?")),
    ):
        ended = dub(film, tmp_path / given.stem, "--transcript", given)
        assert ended.code == 3, ended.stdout
        error = ended.data["titles"][0]["error"]
        assert error["code"] == code and all(word in error["message"] for word in words), error


def test_inspect_says_which_streams_are_meant_and_why(tmp_path: Path) -> None:
    path = several.film(tmp_path / "a.mkv", [(several.tone(880, 3), "spa", True), (several.tone(220, 3), "eng", False)])
    plain = cli.here("inspect", path, "--json").data
    asked = cli.here("inspect", path, "--audio-stream", "2", "--json").data
    tagged = cli.here("inspect", path, "--set", "transcription.language=en", "--json").data
    assert [found["audio"]["language"] for found in (plain, asked, tagged)] == ["es", "en", "en"]
    assert "default" in plain["notes"][0] and "language tag" in tagged["notes"][0]
    refused = cli.here("inspect", path, "--video-stream", "5", "--json")
    assert refused.error["code"] == "no_such_stream"
    assert probe(path, wanted=Wanted("en")).audio.index == 2
