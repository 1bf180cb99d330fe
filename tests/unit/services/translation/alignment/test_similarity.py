"""What speaks for a text being the translation of another."""

from __future__ import annotations

from services.translation.alignment.similarity import features, text_cost, united


def cost(line: str, text: str, target: str = "es") -> float:
    return text_cost(features(line), features(text), "en", target)


def test_names_numbers_and_kin_words_count_and_other_numbers_count_against() -> None:
    line = "I gave Margaret 40 documents at the station."
    assert cost(line, "Le di 40 papeles a Margaret en la parada.") < cost(line, "Le di unos papeles a una mujer allí.")
    assert cost(line, "Le di los documentos a ella en la estación.") < cost(
        line, "Le di esos papeles a ella en la parada."
    )
    assert cost("Wait 5 minutes for me.", "Espérame 7 minutos.") > cost(
        "Wait 5 minutes for me.", "Espérame unos minutos."
    )


def test_length_is_held_against_what_the_language_needs() -> None:
    line = "My brother found this letter under the kitchen table."
    assert cost(line, "兄がこの手紙を台所のテーブルの下で見つけたの。", "ja") < cost(line, "うん。", "ja")
    assert cost(line, "Sí.") > cost(line, "Mi hermano encontró esta carta bajo la mesa.")


def test_several_texts_are_compared_as_one() -> None:
    parts = united((features("Yes, Tom."), features("At 5 we leave with Margaret.")))
    assert parts.numbers == {"5"} and "margaret" in parts.names
    assert parts.length == features("Yes, Tom. At 5 we leave with Margaret.").length
