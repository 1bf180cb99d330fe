"""The video's own subtitles as a transcript."""

from __future__ import annotations

import json
from pathlib import Path

from services.transcription.recognition.chunk_utterances import embedded_transcript
from shared.core.records import Note
from shared.media.subtitle_streams import StreamCue, SubtitleStream

TEXTS = ["Good evening, Tom, please come in.", "[DOOR CLOSES]", "I missed the last train to the city."]


def read(folder: Path, language: str, zero: float = 0.0) -> tuple[list[tuple[str, str | None]], list[Note]]:
    stream = SubtitleStream(
        index=2,
        codec="srt",
        language="en",
        title="English (SDH)",
        forced=False,
        hearing_impaired=True,
        commentary=False,
        default=True,
        pictures=False,
        cues=[StreamCue(start=zero + n * 3, end=zero + n * 3 + 2, text=text) for n, text in enumerate(TEXTS)],
    )
    path = folder / "subtitles.json"
    path.write_text(json.dumps([stream.model_dump()]))
    notes: list[Note] = []
    cues = embedded_transcript(path, 20.0, language, notes)
    return [(given.cue.text, given.reason) for given in cues], notes


def test_the_stream_of_the_films_language_is_the_transcript(tmp_path: Path) -> None:
    cues, notes = read(tmp_path, "en")
    assert cues == [(TEXTS[0], None), ("", "no_words"), (TEXTS[2], None)]
    assert [note.kind for note in notes] == ["subtitles_used", "transcript_no_words"]


def test_without_one_that_can_be_used_the_film_is_heard(tmp_path: Path) -> None:
    cues, notes = read(tmp_path, "fr")
    assert cues == [] and [note.kind for note in notes] == ["subtitles_missing"]
    beyond, notes = read(tmp_path, "en", zero=100.0)
    assert beyond == [] and [note.kind for note in notes] == ["subtitles_used", "subtitles_missing"]
