"""A transcript in another language than the film speaks is refused; a short or a mixed one is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.core.errors import UsageError
from shared.core.records import Note
from shared.transcripts.transcript import read_transcript
from tests.unit.shared.transcripts.texts import TEXTS, srt


def given(tmp_path: Path, lines: list[str], language: str, notes: list[Note] | None = None) -> list[str]:
    (path := tmp_path / "given.srt").write_text(srt(lines), encoding="utf-8")
    told = notes.append if notes is not None else lambda note: None
    return [item.cue.text for item in read_transcript(path, 60.0, language, told)]


@pytest.mark.parametrize("film", ["en", "ja", "es"])
@pytest.mark.parametrize("text", ["en", "es", "fr", "de", "pl", "ru", "ja", "zh", "ko"])
def test_a_translation_is_no_transcript(film: str, text: str, tmp_path: Path) -> None:
    if film == text:
        assert given(tmp_path, list(TEXTS[text]), film) == list(TEXTS[text])
        return
    with pytest.raises(UsageError) as error:
        given(tmp_path, list(TEXTS[text]), film)
    assert error.value.code == "transcript_language"
    assert (error.value.details["text"], error.value.details["film"]) == (text, film)
    assert f"transcription.language={text}" in error.value.message


@pytest.mark.parametrize(
    "lines",
    [["OK."], ["No, no, no!"], ["Anna!", "Tom!", "Taxi!"], ["Hola, Tom."], ["Ciao bella!"], ["Pizza, bitte."]],
    ids=str,
)
def test_a_short_text_is_not_refused(lines: list[str], tmp_path: Path) -> None:
    assert given(tmp_path, lines, "en") == lines


def test_some_lines_in_another_language_are_not_refused(tmp_path: Path) -> None:
    lines = [*TEXTS["en"], "You can sleep here tonight.", "Would you like some hot tea?", TEXTS["es"][1]]
    assert given(tmp_path, lines, "en") == lines


def test_neighbours_are_not_told_apart(tmp_path: Path) -> None:
    assert given(tmp_path, list(TEXTS["cs"]), "sk") == list(TEXTS["cs"])


@pytest.mark.parametrize("first", ["en", "zh"])
def test_of_two_languages_line_by_line_the_films_is_spoken_and_told(first: str, tmp_path: Path) -> None:
    english = ["Good evening, Tom. Please come in.", "Thank you, Anna. It is raining.", "Would you like some tea?"]
    chinese = ["晚上好，汤姆。请进。", "谢谢你，安娜。外面在下雨。", "你想喝点热茶吗？"]
    pairs = zip(english, chinese, strict=True) if first == "en" else zip(chinese, english, strict=True)
    notes: list[Note] = []
    assert given(tmp_path, ["\n".join(pair) for pair in pairs], "en", notes) == english
    (note,) = notes
    assert note.kind == "transcript_bilingual" and "English" in note.message and "Chinese" in note.message


def test_lines_of_one_language_in_two_lines_stay_whole(tmp_path: Path) -> None:
    lines = ["Good evening, Tom.\nPlease come in.", "Thank you, Anna.\nIt is raining outside."]
    assert given(tmp_path, lines, "en") == [line.replace("\n", " ") for line in lines]


def test_json_is_held_against_the_language_too(tmp_path: Path) -> None:
    rows = [{"start": n, "end": n + 0.9, "text": line} for n, line in enumerate(TEXTS["fr"])]
    (path := tmp_path / "given.json").write_text(json.dumps(rows))
    with pytest.raises(UsageError, match="French"):
        read_transcript(path, 60.0, "en")
