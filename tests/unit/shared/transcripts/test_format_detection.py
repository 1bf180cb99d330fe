"""Formats in which people have transcripts: each read, or refused by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.core.errors import UsageError
from shared.core.records import Note
from shared.transcripts.transcript import read_transcript

ASS = r"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,not said
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Anna,0,0,0,,{\i1}Good evening{\i0}, Tom.\NPlease,\hcome in.
Dialogue: 0,0:00:02.00,0:00:02.50,Default,,0,0,0,,{\p1}m 0 0 l 10 10{\p0}
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,Thank you, Anna.
"""
TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" ttp:tickRate="10000000"
    ttp:frameRate="25">
  <head><styling><style xml:id="a"/></styling></head>
  <body><div>
    <p begin="10000000t" end="25000000t">Good <span>evening</span>, Tom.<br/>Please, come in.</p>
    <p begin="00:00:03:00" dur="1s">Thank you, Anna.</p>
  </div></body>
</tt>"""
SAMI = """<SAMI><HEAD><STYLE TYPE="text/css"><!--
.KRCC { Name: Korean; lang: ko-KR; } .ENCC { Name: English; lang: en-US; } --></STYLE></HEAD><BODY>
<SYNC Start=1000><P Class=KRCC>안녕하세요, 톰.<P Class=ENCC>Good evening, Tom.<br>Please, come in.
<SYNC Start=2500><P Class=KRCC>&nbsp;<P Class=ENCC>&nbsp;
<SYNC Start=3000><P Class=KRCC>고마워요, 안나.<P Class=ENCC>Thank you, Anna.
<SYNC Start=4000><P Class=KRCC>&nbsp;<P Class=ENCC>&nbsp;
</BODY></SAMI>"""
SBV = "0:00:01.000,0:00:02.500\nGood evening, Tom.\nPlease, come in.\n\n0:00:03.000,0:00:04.000\nThank you, Anna.\n"
LRC = "[ar:Anna]\n[00:01.00]Good evening, Tom. Please, come in.\n[00:02.50]\n[00:03.00]Thank you, Anna.\n[00:04.00]\n"
MPL2 = "[10][25]Good evening, Tom.|/Please, come in.\n[30][40]Thank you, Anna.\n"
WHISPER_CPP = json.dumps(
    {
        "result": {"language": "en"},
        "transcription": [
            {
                "timestamps": {"from": "00:00:01,000", "to": "00:00:02,500"},
                "offsets": {"from": 1000, "to": 2500},
                "text": " Good evening, Tom. Please, come in.",
            },
            {"timestamps": {"from": "00:00:03,000", "to": "00:00:04,000"}, "text": " Thank you, Anna."},
        ],
    }
)
YOUTUBE = json.dumps(
    {
        "events": [
            {"tStartMs": 0, "dDurationMs": 4000, "id": 1},
            {
                "tStartMs": 1000,
                "dDurationMs": 1500,
                "segs": [{"utf8": "Good evening, Tom."}, {"utf8": " Please, come in."}],
            },
            {"tStartMs": 2500, "dDurationMs": 100, "segs": [{"utf8": "\n"}]},
            {"tStartMs": 3000, "dDurationMs": 1000, "segs": [{"utf8": "Thank you, Anna."}]},
        ]
    }
)
CHUNKS = json.dumps(
    {
        "text": "all of it",
        "chunks": [
            {"timestamp": [1.0, 2.5], "text": "Good evening, Tom. Please, come in."},
            {"timestamp": [3.0, 4.0], "text": "Thank you, Anna."},
        ],
    }
)
MILLISECONDS = json.dumps(
    [
        {"start": 1000, "end": 2500, "text": "Good evening, Tom. Please, come in."},
        {"start": 3000, "end": 4000, "text": "Thank you, Anna."},
    ]
)
CR = "1\r\r\n00:00:01,000 --> 00:00:02,500\r\r\nGood evening, Tom.\r\r\nPlease, come in.\r\r\n\r\r\n2\r\r\n"
CR += "00:00:03,000 --> 00:00:04,000\r\r\nThank you, Anna.\r\r\n"
BLANK = (
    "1\n00:00:01,000 --> 00:00:02,500\nGood evening, Tom.\n\n \nPlease, come in.\n\n2\n00:00:03,000 --> 00:00:04,000\n"
)
BLANK += "Thank you, Anna.\n"
CODES = "1\n00:00:01,000 --> 00:00:02,500\n{y:i}Good evening, Tom.\\NPlease,\\hcome in.\n\n2\n"
CODES += "00:00:03,000 --> 00:00:04,000\n{\\an8}<font color=red>Thank you,</font> &lt;i&gt;Anna&lt;/i&gt;.\n"
SECONDS = (
    "1\n00:00:01 --> 00:00:02,5\nGood evening, Tom. Please, come in.\n\n2\n00:00:03 --> 00:00:04\nThank you, Anna.\n"
)
VTT = """WEBVTT
Kind: captions

STYLE
::cue { color: red }

NOTE
not said

first
00:01.000 --> 00:02.500 align:start
Good evening, Tom.
Please, come in.

NOTE nor this

second
00:03.000 --> 00:04.000
Thank you, Anna.
"""
KINDS = {
    **{"ass": ASS, "ttml": TTML, "sami": SAMI, "sbv": SBV, "lrc": LRC, "mpl2": MPL2, "whisper.cpp": WHISPER_CPP},
    **{"youtube": YOUTUBE, "chunks": CHUNKS, "milliseconds": MILLISECONDS, "cr cr lf": CR, "blank lines": BLANK},
    **{"codes": CODES, "no milliseconds": SECONDS, "vtt": VTT, "dashed": SECONDS.replace("-->", "–>")},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_lines(kind: str, tmp_path: Path) -> None:
    (path := tmp_path / "given").write_text(KINDS[kind], encoding="utf-8", newline="")
    lines = [
        (round(given.cue.start, 3), round(given.cue.end, 3), given.cue.text)
        for given in read_transcript(path, 12.0, "en")
    ]
    assert lines == [(1.0, 2.5, "Good evening, Tom. Please, come in."), (3.0, 4.0, "Thank you, Anna.")]


def test_milliseconds_are_told(tmp_path: Path) -> None:
    notes: list[Note] = []
    (path := tmp_path / "given").write_text(MILLISECONDS)
    read_transcript(path, 12.0, "en", notes.append)
    assert [note.kind for note in notes] == ["transcript_times"] and "milliseconds" in notes[0].message


@pytest.mark.parametrize("scale", [1, 1000])
def test_long_films_and_few_lines_keep_their_unit(scale: int, tmp_path: Path) -> None:
    rows = [
        {"start": n * scale, "end": (n + 3) * scale, "text": "You can sleep here tonight."} for n in (10, 400, 5000)
    ]
    (path := tmp_path / "given").write_text(json.dumps(rows))
    assert [given.cue.start for given in read_transcript(path, 5400.0, "en")] == [10, 400, 5000]


def test_one_line_over_a_whole_film_is_no_matter_of_milliseconds(tmp_path: Path) -> None:
    (path := tmp_path / "given").write_text(
        json.dumps([{"start": 0, "end": 5000, "text": "You can sleep here tonight."}])
    )
    assert [given.cue.end for given in read_transcript(path, 5400.0, "en")] == [5000]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x00\x00\x01\xba\x44\x00", "VobSub"),
        (b"# VobSub index file, v7\n", "VobSub"),
        (b"PG\x00\x00\x12\x34", "PGS"),
        (b"850STL25.01", "EBU"),
        (b"Scenarist_SCC V1.0\n\n00:00:00:00\t9420", "Scenarist"),
        (b"{100}{200}Good evening, Tom.\n", "MicroDVD"),
        (b"PK\x03\x04\x14\x00", "ZIP"),
        (b"%PDF-1.7", "PDF"),
        (b"\x00\x00\x00\x20ftypisom", "MP4"),
        (b"\x1aE\xdf\xa3\x01", "Matroska"),
        (b"<?xml version='1.0'?><html><body/></html>", "html"),
        (b"<?xml version='1.0'?><!DOCTYPE tt [<!ENTITY a 'b'>]><tt>&a;</tt>", "document type"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(data: bytes, name: str, tmp_path: Path) -> None:
    (path := tmp_path / "given").write_bytes(data)
    with pytest.raises(UsageError, match=name) as error:
        read_transcript(path, 12.0)
    assert error.value.code == "bad_transcript"


@pytest.mark.parametrize(
    "text",
    [
        "<tt>" + "<div>" * 50_000,
        "<tt><body>" + "<div>" * 50_000 + "</div>" * 50_000 + "</body></tt>",
        "[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,,,,,,," + "{" * 200_000,
        "<SAMI>" + "<SYNC " * 100_000,
        "[00:01.00]" * 50_000,
        ">> " * 50_000 + "\n00:00:01,000 --> 00:00:02,000\n" + "- a " * 50_000,
    ],
    ids=["open", "deep", "braces", "sync", "times", "marks"],
)
def test_hostile_files_take_no_time_and_no_crash(text: str, tmp_path: Path) -> None:
    (path := tmp_path / "given").write_text(text)
    try:
        read_transcript(path, 12.0, "en")
    except UsageError as error:
        assert error.code in ("bad_transcript", "transcript_language")
