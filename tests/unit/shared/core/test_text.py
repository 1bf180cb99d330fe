"""Normalisation, kana, error rates, subtitles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.text import alphanumerics, character_error_rate, normalise
from shared.media.subtitles import Cue, parse_cues, readable, to_srt, to_vtt, wrap


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("¿Qué PASÓ, señor?", "es", "qué pasó señor"),
        ("L'homme s’en va-t-il ?", "fr", "lhomme sen vatil"),
        ("  Straße — „gut“… ", "de", "strasse gut"),
        ("Ｏ Ｋ、今日は 3時!", "ja", "ok今日は3時"),
        ("e\u0301te\u0301", "fr", "été"),
        ("…—!?", "en", ""),
    ],
)
def test_normalise(text: str, language: str, expected: str) -> None:
    assert normalise(text, language) == expected


@given(st.text())
def test_normalise_is_idempotent_for_plain_text(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once or not once.isascii()


def test_error_rates() -> None:
    assert character_error_rate("¡Hola, amigo!", "hola amigo", "es") == 0
    assert character_error_rate("C'est l'été.", "Cest l'ete", "fr") == pytest.approx(2 / 9)
    assert character_error_rate("abcd", "", "en") == 1
    assert character_error_rate("…", "anything", "en") is None


def test_japanese_is_compared_as_it_sounds() -> None:
    pytest.importorskip("pyopenjtalk", reason="Japanese readings need pyopenjtalk")
    assert character_error_rate("今日は三時です。", "きょうは3時です", "ja") == 0
    assert character_error_rate("お願いします", "おねがいします", "ja") == 0
    assert character_error_rate("猫です", "犬です", "ja") > 0


def test_alphanumerics() -> None:
    assert [alphanumerics(text) for text in ("…", "Oh!", "はい", "3")] == [0, 2, 2, 1]


@given(st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=12), min_size=1, max_size=40))
def test_wrapping_keeps_words_and_width(words: list[str]) -> None:
    text = " ".join(words)
    lines = wrap(text, 42)
    assert " ".join(lines) == text
    assert all(len(line) <= 42 for line in lines)


def test_wide_text_is_cut_anywhere() -> None:
    lines = wrap("さあ正確な時間は言えないけどいろいろ考えて残りはあと4日、それだけは確かだ。", 20)
    assert max(map(len, lines)) <= 20
    assert "".join(lines).startswith("さあ正確な")


def test_subtitles_are_two_lines_at_most_and_read_back() -> None:
    long = "This is a long line of text that must be broken into two lines and then into more than one of these cues."
    cues = [Cue(0.0, 6.0, long), Cue(3661.5, 3662.0, "<Short> & sweet", "S1"), Cue(9.0, 10.0, "")]
    pages = list(readable(cues, "en"))
    assert all(len(page.text.split("\n")) <= 2 for page in pages)
    assert pages[0].end == pages[1].start and pages[1].end == 6.0
    assert "01:01:01,500 --> 01:01:02,000" in to_srt(cues, "en")
    assert "<v S1>&lt;Short&gt; &amp; sweet" in to_vtt(cues, "en")
    back = parse_cues(to_vtt(cues, "en"))
    assert " ".join(cue.text for cue in back) == f"{long} <Short> & sweet"
    assert back[-1].speaker == "S1"
