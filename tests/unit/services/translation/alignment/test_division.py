"""One text over several lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.translation.alignment.division import divide


@pytest.mark.parametrize(
    ("text", "lines", "parts"),
    [
        (
            "Gracias, Ana. Perdí el último tren.",
            ["Thank you, Anna.", "I missed the last train."],
            ["Gracias, Ana.", "Perdí el último tren."],
        ),
        (
            "Disculpe, ¿podría decirme dónde está la estación?",
            ["Excuse me,", "could you tell me where the station is?"],
            ["Disculpe,", "¿podría decirme dónde está la estación?"],
        ),
        (
            "Entro allí y, cuando nadie mira, cojo la llave.",
            ["I get in there and", "when nobody looks I take the key."],
            ["Entro allí y,", "cuando nadie mira, cojo la llave."],
        ),
        (
            "行こう。もう遅いから、急いで。",
            ["Let's go.", "It is late, so hurry."],
            ["行こう。", "もう遅いから、急いで。"],
        ),
        ("Sí.", ["Yes."], ["Sí."]),
    ],
)
def test_cuts_stand_where_sentences_and_phrases_end(text: str, lines: list[str], parts: list[str]) -> None:
    assert divide(text, lines) == parts


def test_too_few_words_are_not_divided() -> None:
    assert divide("Sí.", ["Yes.", "Yes, of course."]) is None
    assert divide("— … —", ["Yes.", "No."]) is None
    assert divide("a " * 5000, ["Yes.", "No."]) is None


@given(
    st.lists(st.text("abcdefg.,", min_size=1, max_size=9).filter(lambda word: any(map(str.isalpha, word))), min_size=6),
    st.lists(st.sampled_from(["Yes.", "I have to go now", "Would you come with me, please?"]), min_size=1, max_size=6),
)
def test_parts_are_the_text_and_each_has_a_word(words: list[str], lines: list[str]) -> None:
    parts = divide(" ".join(words), lines)
    assert parts is not None and len(parts) == len(lines)
    assert " ".join(parts).split() == words
    assert all(any(map(str.isalpha, part)) for part in parts)
