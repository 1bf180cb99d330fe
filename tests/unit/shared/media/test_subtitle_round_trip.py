"""Any text goes through SRT, VTT and the subtitles of MKV and MP4 and comes back as it was."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import av
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.core.text import clean, is_unspaced
from shared.media.muxing import subtitle_packets
from shared.media.subtitles import Cue, join_lines, parse_cues, to_srt, to_vtt, unguard

BITS = [
    *(
        "-->",
        "->",
        "–>",
        "00:00:01,000 --> 00:00:02,000",
        "00:01 --> x",
        "<b>",
        "</i>",
        "<3",
        "{\\an8}",
        "{y:i}",
        "{C:$0}",
    ),
    *(
        "&amp;",
        "&lt;",
        "&",
        "\\N",
        "\\h",
        "\\",
        "\u2060",
        "--\u2060>",
        "<\u2060b>",
        "{\u2060",
        "&\u2060amp;",
        "3",
        "NOTE x",
    ),
    *(
        "WEBVTT",
        "STYLE",
        "こんにちは、世界。",
        "さあ ",
        "é",
        "e\u0301",
        "word ",
        "Anna: ",
        "- ",
        ">> ",
        "<v Bob>",
        "x" * 60,
    ),
    *(" ", "\n", "\r\n", "\u3000", "\u2028", "\x85", "\x00", "\ud800", "😀", "שלום", "สวัสดี"),
]
TEXT = st.lists(st.one_of(st.sampled_from(BITS), st.text(max_size=8)), min_size=1, max_size=14).map("".join)
ARROW = "Open the menu: File --> Save as."


def squeezed(text: str) -> str:
    """Without the spaces between characters of scripts without spaces, which no reader sees where a page ends."""
    inner = range(1, len(text) - 1)
    drop = {i for i in inner if text[i] == " " and is_unspaced(text[i - 1]) and is_unspaced(text[i + 1])}
    return "".join(char for i, char in enumerate(text) if i not in drop)


@pytest.mark.parametrize("write", [to_srt, to_vtt])
@settings(max_examples=300)
@given(TEXT, st.sampled_from(["en", "ja"]), st.sampled_from([None, "S1", "<An & na>"]))
@example(ARROW, "en", None)
@example("00:00:01,000 --> 00:00:02,000", "en", None)
@example("2", "en", None)
def test_files(write: Callable[[list[Cue], str], str], text: str, language: str, speaker: str | None) -> None:
    read = parse_cues(write([Cue(0, 6, text, speaker), Cue(7, 8, "end")], language))
    assert read[-1].text == "end"
    assert squeezed(join_lines(cue.text for cue in read[:-1])) == squeezed(clean(text))
    assert write is to_srt or {cue.speaker for cue in read[:-1]} <= {speaker}


def test_an_arrow_in_a_text_needs_no_guard() -> None:
    assert ARROW in to_srt([Cue(0, 6, ARROW)], "en")


@pytest.mark.parametrize("kind", ["matroska", "mp4"])
@settings(max_examples=25)
@given(st.lists(TEXT.filter(lambda text: 0 < len(clean(text)) <= 40), min_size=1, max_size=30))
@example([ARROW, "<b>bold</b>", "{\\an8}up", "&amp;", "\\N", "3", "-->", "00:01 --> 00:02"])
def test_containers(kind: str, texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        srt, out = Path(folder) / "a.srt", Path(folder) / f"a.{kind}"
        srt.write_text(to_srt([Cue(n, n + 0.9, text) for n, text in enumerate(texts)], "en"), encoding="utf-8")
        with av.open(str(out), "w", format=kind) as container:
            container.mux(list(subtitle_packets(container, kind, "en", srt)))
        with av.open(str(out)) as container:
            packets = [bytes(packet) for packet in container.demux(container.streams.subtitles[0]) if packet.size]
            packets = [packet for packet in packets if kind != "mp4" or packet[:2] != b"\0\0"]
        read = [packet[2:].decode() if kind == "mp4" else unguard(packet.decode()) for packet in packets]
        assert read == [clean(text) for text in texts]


def test_what_players_show_of_markup_in_a_text(tmp_path: Path) -> None:
    (srt := tmp_path / "a.srt").write_text(to_srt([Cue(0, 1, "Write <b> in HTML.")], "en"), encoding="utf-8")
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        container.mux(list(subtitle_packets(container, "matroska", "en", srt)))
    with av.open(str(tmp_path / "a.mkv")) as container:
        stream = container.streams.subtitles[0]
        shown = [cast(Any, part).dialogue.decode() for packet in container.demux(stream) for part in packet.decode()]
    assert "".join(shown).replace("\u2060", "") == "Write <b> in HTML."
