"""Given transcripts: formats, speakers, encodings, odd times, and messages that name the line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from shared.core.errors import UsageError
from shared.transcripts.transcript import Given, read_transcript

SRT = """1
00:00:01,000 --> 00:00:02,500
[S1] Hello there.

2
00:00:03,000 --> 00:00:04,000
S2: <i>Good</i> evening,
my friend.
"""

VTT = """WEBVTT - a title

NOTE nothing here

intro
00:01.000 --> 00:02.500 align:start
<v.loud Anna Bell>Hello &amp; welcome.</v>

00:00:03.000 --> 00:00:04.000
Plain.
"""


def load(tmp_path: Path, data: str | bytes, seconds: float = 60.0) -> list[Given]:
    path = tmp_path / "given"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_transcript(path, seconds)


def short(given: list[Given]) -> list[tuple[float, float, str | None, str]]:
    return [(item.cue.start, item.cue.end, item.cue.speaker, item.cue.text) for item in given if not item.reason]


def test_srt_with_speaker_tags(tmp_path: Path) -> None:
    assert short(load(tmp_path, SRT)) == [
        (1.0, 2.5, "S1", "Hello there."),
        (3.0, 4.0, "S2", "Good evening, my friend."),
    ]


def test_vtt_with_voices(tmp_path: Path) -> None:
    assert short(load(tmp_path, VTT)) == [(1.0, 2.5, "Anna Bell", "Hello & welcome."), (3.0, 4.0, None, "Plain.")]


@pytest.mark.parametrize("shape", ["list", "segments", "lines"])
def test_json_shapes(tmp_path: Path, shape: str) -> None:
    items = [
        {"start": 1, "end": 2.5, "text": "Hello there.", "speaker": "Anna"},
        {"start": "00:00:03,000", "end": "4.0", "text": "Yes."},
    ]
    text = {
        "list": json.dumps(items),
        "segments": json.dumps({"language": "en", "segments": items}),
        "lines": "\n".join(json.dumps(item) for item in items),
    }[shape]
    assert short(load(tmp_path, text)) == [(1.0, 2.5, "Anna", "Hello there."), (3.0, 4.0, None, "Yes.")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = "1\r\n00:00:01,000 --> 00:00:02,000\r\n¿Qué pasó, señor?\r\n"
    assert short(load(tmp_path, text.encode(encoding)))[0][3] == "¿Qué pasó, señor?"


def test_names_that_come_back_are_speakers_and_noises_are_not(tmp_path: Path) -> None:
    lines = [
        "Anna: Hello.",
        "[door slams] Who is it?",
        "Anna: Me.",
        "Note: this is one.",
        "[Music] La la.",
        "[Music] Lo.",
    ]
    text = "\n\n".join(f"00:00:{i:02},000 --> 00:00:{i + 1:02},000\n{line}" for i, line in enumerate(lines))
    assert [(row[2], row[3]) for row in short(load(tmp_path, text))] == [
        ("Anna", "Hello."),
        (None, "Who is it?"),
        ("Anna", "Me."),
        (None, "Note: this is one."),
        (None, "La la."),
        (None, "Lo."),
    ]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ((5.0, 4.0), "bad_times"),
        ((5.0, 5.0), "bad_times"),
        ((-3.0, -1.0), "bad_times"),
        ((61.0, 62.0), "beyond_end"),
        ((-1.0, 1.0), None),
        ((59.0, 70.0), None),
    ],
)
def test_odd_times_keep_the_line_with_a_reason(tmp_path: Path, times: tuple[float, float], reason: str | None) -> None:
    (given,) = load(tmp_path, json.dumps([{"start": times[0], "end": times[1], "text": "Hello."}]))
    assert given.reason == reason
    if reason is None:
        assert 0 <= given.cue.start < given.cue.end <= 60


def test_empty_lines_are_dropped_with_a_reason_and_overlaps_stay(tmp_path: Path) -> None:
    items = [{"start": 0, "end": 3, "text": "One."}, {"start": 1, "end": 2, "text": "Two."}]
    items.append({"start": 4, "end": 5, "text": " … "})
    assert [given.reason for given in load(tmp_path, json.dumps(items))] == [None, None, "no_words"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hello, this is not a transcript\n", 1),
        ("1\n00:00:01,000 --> 00:00:0x,000\nHello.\n", 2),
        ("WEBVTT\n\n00:01.000 --> soon\nHello.\n", 3),
        ('[{"start": 1, "end": 2, "text": "a"},\n {"start": 1 "end"}]', 2),
        ('[{"start": 1, "end": 2, "text": "a"}, {"start": 1, "text": "b"}]', 2),
        ('{"start": 1, "end": 2, "text": "a"}\n{"start": 1, "end": oops}\n', 2),
        ('{"start": 1, "end": NaN, "text": "a"}', 1),
        ("", 1),
        ("WEBVTT\n", 1),
    ],
)
def test_malformed_transcripts_name_the_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(UsageError) as error:
        load(tmp_path, text)
    assert error.value.code == "bad_transcript"
    assert error.value.details["line"] == line


def test_a_missing_blank_line_between_cues(tmp_path: Path) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nOne.\n2\n00:00:03,000 --> 00:00:04,000\nTwo.\n"
    assert [row[3] for row in short(load(tmp_path, text))] == ["One.", "Two."]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '[{"start": 0, "end": 1, "text": "a"}]'.replace("0", "9" * 5000),
        '{"start": 1e999}\n' + "[" * 100_000,
    ],
    ids=["nested", "long number", "nested line"],
)
def test_json_that_no_reader_can_hold(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "given").write_text(text)
    with pytest.raises(UsageError) as error:
        read_transcript(path, 60.0)
    assert error.value.code == "bad_transcript"


def test_a_voice_that_never_ends_is_read_at_once(tmp_path: Path) -> None:
    cue = "00:00.000 --> 00:01.000\n<v" + ".a" * 60 + "\n"
    (path := tmp_path / "given").write_text(f"WEBVTT\n\n{cue}")
    began = time.process_time()
    read_transcript(path, 60.0)
    assert time.process_time() - began < 1.0
