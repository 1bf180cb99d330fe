"""Transcripts from before Unicode: read as they were written, or refused; never spoken as mojibake."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.core.errors import UsageError
from shared.core.records import Note
from shared.transcripts.encoding import decode
from shared.transcripts.transcript import read_transcript
from tests.unit.shared.transcripts.texts import OLDER, TEXTS, srt


@pytest.mark.parametrize(("language", "encoding"), OLDER)
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_older_encodings_by_what_they_say(language: str, encoding: str, known: bool, tmp_path: Path) -> None:
    (path := tmp_path / "given.srt").write_bytes(srt(TEXTS[language]).encode(encoding))
    notes: list[Note] = []
    lines = read_transcript(path, 60.0, language if known else None, notes.append)
    assert tuple(given.cue.text for given in lines) == TEXTS[language]
    assert [note.kind for note in notes] == ["transcript_encoding"]


@pytest.mark.parametrize("mark", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_in_all_its_forms(mark: str) -> None:
    assert decode("Привет, señor! こんにちは".encode(mark))[0] == "Привет, señor! こんにちは"


def test_text_written_twice_as_utf8_is_turned_back() -> None:
    twice = "¿Qué pasó? Привет".encode().decode("latin-1").encode()
    assert decode(twice)[0] == "¿Qué pasó? Привет"
    assert decode("Âge, Ãéà".encode())[0] == "Âge, Ãéà", "what has such letters of its own stays"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"\xd0", 1),
        ("Это длинная строка по-русски, в которой испорчен один байт.\nДа".encode()[:-1], 2),
        ("один\nдва \ufffd".encode(), 2),
        ("Да!".encode("cp1251"), 1),
        (bytes(range(128, 256)), 1),
    ],
    ids=["one byte", "cut", "lost before", "too little", "noise"],
)
def test_what_cannot_be_told_is_refused(data: bytes, line: int) -> None:
    with pytest.raises(UsageError) as error:
        decode(data)
    assert error.value.code == "bad_transcript" and error.value.details["line"] == line
