"""Real subtitles and what a film is heard to say: shifted, split, merged, incomplete, and of another film."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.translation.alignment.given_lines import align
from shared.core.text import normalise
from shared.media.subtitles import Cue
from tests.unit.services.translation.alignment import scene


def test_cues_over_two_lines_are_divided_and_two_in_one_put_together() -> None:
    alignment = align(scene.lines(), scene.cues(), "en", "es")
    assert tuple(alignment.texts.values()) == scene.SAID
    assert alignment.clock.is_own and not alignment.unspoken
    assert alignment.merged == ("u0007",)
    assert alignment.parts[:2] == ("u0001", "u0002") and "u0011" in alignment.parts


@pytest.mark.parametrize("delay", [-3.0, 2.4, 61.5])
def test_a_constant_delay_is_estimated(delay: float) -> None:
    alignment = align(scene.lines(), scene.cues(delay=delay), "en", "es")
    assert tuple(alignment.texts.values()) == scene.SAID
    assert alignment.clock.rate == 1.0 and alignment.clock.delay == pytest.approx(-delay, abs=0.2)


@pytest.mark.parametrize("late", [-0.4, 0.0, 0.5])
def test_subtitles_a_little_beside_the_speech_stay_on_their_clock(late: float) -> None:
    alignment = align(scene.lines(), scene.cues(delay=late), "en", "es")
    assert alignment.clock.is_own and tuple(alignment.texts.values()) == scene.SAID


def test_another_frame_rate_is_estimated_over_the_length_of_a_film() -> None:
    acts = [(1 + number * 60.0) for number in range(20)]
    film = [(s + act, e + act, who, text) for act in acts for s, e, who, text in scene.HEARD]
    texts = [(s + act, e + act, text) for act in acts for s, e, text in scene.SPANISH]
    alignment = align(scene.lines(film), scene.cues(24_000 / 1001 / 25, 5.0, texts), "en", "es")
    assert alignment.clock.rate == pytest.approx(25 * 1001 / 24_000)
    assert alignment.clock.delay == pytest.approx(-5.0 * alignment.clock.rate, abs=0.3)
    assert len(alignment.texts) >= 0.99 * len(film)


def test_lines_without_a_cue_are_left_and_cues_without_a_line_named() -> None:
    rows = [*scene.SPANISH[:6], (38.0, 40.0, "ESTACIÓN DEL NORTE"), *scene.SPANISH[8:]]
    alignment = align(scene.lines(), scene.cues(rows=rows), "en", "es")
    assert "u0009" not in alignment.texts and "u0010" not in alignment.texts
    assert alignment.texts["u0008"] == scene.SAID[7] and alignment.texts["u0012"] == scene.SAID[11]
    assert [cue.text for cue in alignment.unspoken] == ["ESTACIÓN DEL NORTE"]


def test_nothing_is_given_where_no_cue_stands_near_a_line() -> None:
    alignment = align(scene.lines(), [Cue(300.0, 302.0, "Otra película.")], "en", "es")
    assert not alignment.texts and len(alignment.unspoken) == 1
    assert align([], scene.cues(), "en", "es").texts == {}
    assert align(scene.lines(), [], "en", "es").texts == {}


def test_one_word_for_two_lines_is_said_by_the_longer() -> None:
    rows = [(1.0, 1.8, "S1", "Oh yes."), (1.9, 2.4, "S1", "Yes.")]
    alignment = align(scene.lines(rows), [Cue(1.0, 2.5, "Sí.")], "en", "es")
    assert alignment.texts == {"u0001": "Sí."}


def test_japanese_is_divided_behind_its_punctuation() -> None:
    rows = [(1.0, 2.4, "S1", "Good evening, Tom."), (2.6, 4.6, "S1", "Please come in, it is raining.")]
    alignment = align(scene.lines(rows), [Cue(1.0, 4.8, "こんばんは、トム。どうぞ、雨ですから中へ。")], "en", "ja")
    assert list(alignment.texts.values()) == ["こんばんは、トム。", "どうぞ、雨ですから中へ。"]


@given(
    st.lists(st.tuples(st.floats(0.2, 6), st.floats(0.3, 5), st.integers(1, 9)), max_size=12),
    st.lists(st.tuples(st.floats(0.0, 6), st.floats(0.3, 5), st.integers(1, 9)), max_size=12),
)
def test_every_word_of_a_cue_is_said_once_or_its_cue_is_named(
    spoken: list[tuple[float, float, int]], shown: list[tuple[float, float, int]]
) -> None:
    def timed(rows: list[tuple[float, float, int]], name: str) -> list[tuple[float, float, str]]:
        at, out = 0.0, []
        for number, (gap, length, words) in enumerate(rows):
            at += gap
            out.append((at, at + length, " ".join(f"{name}{number}{'abcdefghi'[word]}" for word in range(words)) + "."))
            at += length
        return out

    film = scene.lines([(start, end, "S1", text) for start, end, text in timed(spoken, "line")])
    subtitles = scene.cues(rows=timed(shown, "cue"))
    alignment = align(film, subtitles, "en", "es")
    said = normalise(" ".join([*alignment.texts.values(), *(cue.text for cue in alignment.unspoken)])).split()
    assert sorted(said) == sorted(normalise(" ".join(cue.text for cue in subtitles)).split())
    assert list(alignment.texts) == sorted(alignment.texts)
