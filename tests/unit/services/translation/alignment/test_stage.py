"""The stage: files in, lines and notes out, errors that can be acted on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.translation.alignment.given_lines import GivenLine
from services.translation.alignment.stage import run
from shared.core.errors import UsageError
from shared.core.records import Chunk, Utterance, read_jsonl, write_jsonl
from shared.media.subtitle_streams import StreamCue, SubtitleStream
from shared.media.subtitles import clock
from shared.pipeline.stage import Scope
from shared.settings.models import Section
from tests.unit.services.translation.alignment import scene
from tests.unit.services.translation.fakes import FakeWork

FRENCH = [(start, end, "Je ne sais pas où il est allé hier soir avec elle.") for start, end, _ in scene.SPANISH]


def align_stage(
    folder: Path, text: str | bytes | list[SubtitleStream], lines: Sequence[Utterance] | None = None, target: str = "es"
) -> tuple[dict[str, str], dict[str, str]]:
    """Line's id → text, and the notes by kind."""
    inputs = {name: folder / name for name in ("utterances.jsonl", "chunks.json", "language.json")}
    write_jsonl(inputs["utterances.jsonl"], scene.lines() if lines is None else lines)
    inputs["chunks.json"].write_text(json.dumps([Chunk(index=0, start=0, end=56 * 48_000).model_dump()]))
    inputs["language.json"].write_text('{"language": "en"}')
    if isinstance(text, list):
        inputs["subtitles.json"] = folder / "subtitles.json"
        inputs["subtitles.json"].write_text(json.dumps([stream.model_dump() for stream in text]))
    else:
        inputs["translation"] = folder / "film.srt"
        inputs["translation"].write_bytes(text if isinstance(text, bytes) else text.encode())
    out = run(Scope(target), inputs, Section(), {}, FakeWork(folder))
    notes = json.loads(out["notes.json"].read_text())
    given = read_jsonl(out["given.jsonl"], GivenLine)
    return {line.utterance: line.text for line in given}, {note["kind"]: note["message"] for note in notes}


def stream(rows: Sequence[tuple[float, float, str]], **facts: Any) -> SubtitleStream:
    own = {"index": 2, "codec": "srt", "language": "es", "title": "", "default": False, "pictures": False}
    own |= {"forced": False, "hearing_impaired": False, "commentary": False, **facts}
    return SubtitleStream(cues=[StreamCue(start=a, end=b, text=text) for a, b, text in rows], **own)


def test_subtitles_become_lines_and_what_was_done_is_noted(tmp_path: Path) -> None:
    texts, notes = align_stage(tmp_path, scene.srt())
    assert tuple(texts.values()) == scene.SAID
    assert notes["translation_given"].startswith("15 of 15 lines are spoken as the Spanish translation says (1 put")
    assert set(notes) == {"translation_given"}


def test_descriptions_of_sounds_are_not_spoken_and_dashes_are_two_speakers(tmp_path: Path) -> None:
    rows = [
        (1.0, 4.0, "- [RISAS] ¿Quién está ahí?\n- Soy yo, Tomás."),
        (6.0, 8.0, "[PORTAZO]"),
        *scene.SPANISH[3:],
    ]
    lines = scene.lines([(1.0, 2.3, "Anna", "Who is there?"), (2.5, 4.0, "Tom", "It is me, Thomas."), *scene.HEARD[6:]])
    texts, notes = align_stage(tmp_path, scene.srt(rows), lines)
    assert list(texts.values())[:2] == ["¿Quién está ahí?", "Soy yo, Tomás."]
    assert notes["translation_no_words"] == (
        "1 of 11 lines of the Spanish translation have no words; they are not spoken."
    )


def test_rolling_captions_are_said_once(tmp_path: Path) -> None:
    texts = [text.split("\n")[0] for _, _, text in scene.SPANISH]
    rows = [
        (start, end, f"{before}\n{text}" if before else text)
        for (start, end, _), before, text in zip(scene.SPANISH, ["", *texts], texts, strict=False)
    ]
    begins = [start for start, _, _ in rows]
    close = [(start, later, text) for (start, _, text), later in zip(rows, [*begins[1:], 53.0], strict=True)]
    blocks = [f"{clock(start, ',')} --> {clock(end, ',')}\n{text}\n" for start, end, text in close]
    given, notes = align_stage(tmp_path, "\n".join(blocks))
    assert "translation_rolling" in notes and notes["translation_rolling"].startswith("The Spanish translation has")
    assert sum("Conozco esta carta" in text for text in given.values()) == 1


def test_older_encodings_lines_left_over_and_another_clock_are_noted(tmp_path: Path) -> None:
    rows = [(start + 4, end + 4, text) for start, end, text in [*scene.SPANISH[:6], *scene.SPANISH[8:]]]
    texts, notes = align_stage(tmp_path, scene.srt(rows).encode("cp1252"))
    assert notes["translation_encoding"] == "The Spanish translation was read as cp1252."
    assert "were moved by -" in notes["translation_clock"]
    assert notes["translation_by_engine"].startswith("The Spanish translation has no text for u0009, u0010;")
    assert len(texts) == 13


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("no times here", "bad_translation", "The Spanish translation cannot be used"),
        (b"PK\x03\x04zip", "bad_translation", "ZIP"),
        ("1\n00:00:01,000 --> 00:00:02,000\n[música]\n", "bad_translation", "Spanish"),
        (scene.srt(FRENCH), "translation_language", "--translation fr=FILE"),
        ("1\n00:05:01,000 --> 00:05:02,000\nOtra película.\n", "translation_unmatched", "301 s"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str | bytes, code: str, word: str) -> None:
    with pytest.raises(UsageError) as refused:
        align_stage(tmp_path, text)
    assert refused.value.code == code and word in refused.value.message


def test_a_title_without_speech_has_no_lines_to_give(tmp_path: Path) -> None:
    texts, notes = align_stage(tmp_path, scene.srt(), [])
    assert texts == {} and "translation_without_line" in notes


def test_the_videos_own_stream_is_taken_and_its_choice_noted(tmp_path: Path) -> None:
    streams = [stream(scene.SPANISH[:2], index=2, forced=True), stream(scene.SPANISH, index=3)]
    texts, notes = align_stage(tmp_path, streams)
    assert tuple(texts.values()) == scene.SAID
    assert "stream 3" in notes["subtitles_used"] and "stream 2 is forced" in notes["subtitles_used"]


@pytest.mark.parametrize(
    ("streams", "word"),
    [
        ([], "has no Spanish subtitles"),
        ([stream([], pictures=True, codec="pgssub")], "holds pictures (pgssub)"),
        ([stream(FRENCH)], "is in French, whatever its tag says"),
        ([stream([(start + 300, end + 300, text) for start, end, text in scene.SPANISH])], "lie beyond"),
    ],
)
def test_a_stream_that_cannot_be_used_leaves_the_lines_to_the_engine(
    tmp_path: Path, streams: list[SubtitleStream], word: str
) -> None:
    texts, notes = align_stage(tmp_path, streams)
    assert texts == {}
    assert word in notes["subtitles_missing"] or "No line" in notes["subtitles_missing"]


def test_what_is_spoken_already_needs_no_stream(tmp_path: Path) -> None:
    assert align_stage(tmp_path, [stream(scene.SPANISH, language="en")], target="en") == ({}, {})
