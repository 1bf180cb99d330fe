"""Phrases and stretches of speech: laws for any text and any pauses, and breaks that a reader would choose."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.dubbing.synthesis.islands import Island
from services.dubbing.synthesis.phrasing import align_phrases, units, with_pause
from shared.settings.models import FitSettings

FIT = FitSettings()


def seconds(part: str) -> float:
    return 0.2 + len(part) / 18


def islands(*spans: tuple[float, float]) -> tuple[Island, ...]:
    ends = [start - 0.1 for start, _ in spans[1:]] + [spans[-1][1] + 0.5]
    return tuple(Island(start, end - start, until - start) for (start, end), until in zip(spans, ends, strict=True))


def said(text: str, *spans: tuple[float, float]) -> list[tuple[str, float]]:
    phrasing = align_phrases(text, islands(*spans), seconds, FIT)
    return [(phrase.text, phrase.island.start) for phrase in phrasing.phrases]


@st.composite
def speech(draw: st.DrawFn) -> tuple[tuple[float, float], ...]:
    spans, time = [], 0.0
    for _ in range(draw(st.integers(1, 5))):
        end = time + draw(st.floats(0.25, 4.0))
        spans.append((time, end))
        time = end + draw(st.floats(0.3, 3.0))
    return tuple(spans)


@settings(deadline=None)
@given(st.lists(st.text("abc,.", min_size=1, max_size=8), min_size=1, max_size=12), speech())
def test_every_word_is_said_once_in_order_each_phrase_at_a_time_of_the_originals(
    words: list[str], spans: tuple[tuple[float, float], ...]
) -> None:
    phrasing = align_phrases(" ".join(words), islands(*spans), seconds, FIT)
    assert " ".join(phrase.text for phrase in phrasing.phrases).split() == words
    starts = {start for start, _ in spans}
    for phrase in phrasing.phrases:
        assert phrase.island.start in starts
    for before, after in pairwise(phrasing.phrases):
        assert before.island.start + before.island.slot <= after.island.start
    assert phrasing.cost >= 0


def test_a_pause_of_the_original_falls_where_a_reader_would_pause() -> None:
    text = "No puedo decirle la hora exacta, pero nos quedan cuatro días."
    assert said(text, (0.0, 1.9), (3.9, 5.6)) == [
        ("No puedo decirle la hora exacta,", 0.0),
        ("pero nos quedan cuatro días.", 3.9),
    ]


def test_words_go_where_there_is_time_for_them() -> None:
    text = "ese de ahí fuera no tiene ningún fondo en absoluto"
    (first, _), (second, start) = said(text, (0.0, 2.3), (3.2, 4.0))
    assert start == 3.2
    assert seconds(first) > 1.5 * seconds(second)
    (first, _), (second, _) = said(text, (0.0, 0.8), (1.7, 4.0))
    assert seconds(second) > 1.5 * seconds(first)


def test_a_short_word_is_not_torn_from_the_next() -> None:
    first = said("Vamos todos juntos a la casa grande", (0.0, 1.4), (2.4, 3.4))[0][0]
    assert not first.endswith((" a", " la"))


def test_a_pause_that_no_break_is_worth_is_spoken_through() -> None:
    assert said("Sí.", (0.0, 0.5), (1.0, 1.3)) == [("Sí.", 0.0)]
    assert (
        len(said("Una frase que dura más o menos unos cuatro segundos y pico en su totalidad", (0.0, 2.0), (2.3, 4.1)))
        == 1
    )


def test_japanese_is_broken_before_content_words() -> None:
    assert [part for part, _ in units("正確な時間は言えませんが、あと四日です。")] == [
        "正確な",
        "時間は",
        "言えませんが、",
        "あと",
        "四日です。",
    ]
    phrases = said("正確な時間は言えませんが、あと四日しか残っていません。", (0.0, 0.9), (2.0, 3.0))
    assert [text for text, _ in phrases] == ["正確な時間は言えませんが、", "あと四日しか残っていません。"]


def test_a_mark_that_stands_alone_is_no_phrase() -> None:
    assert [part for part, _ in units("— Vamos — dijo .")] == ["— Vamos —", "dijo ."]
    assert [part for part, _ in units("…")] == ["…"]


def test_a_phrase_that_goes_on_sounds_like_it() -> None:
    said = {text: with_pause(text) for text in ("pero", "pero,", "あと", "¿Sí?")}
    assert said == {"pero": "pero,", "pero,": "pero,", "あと": "あと、", "¿Sí?": "¿Sí?"}


def test_an_endless_text_is_said_as_one_without_being_divided() -> None:
    asked: list[str] = []

    def watched(part: str) -> float:
        asked.append(part)
        return seconds(part)

    text = "palabra " * 20_000
    (phrase,) = align_phrases(text, islands((0.0, 1.0), (2.0, 3.0)), watched, FIT).phrases
    assert phrase.text == text and asked == [text]
