"""Words of another language, of the source and of none; names and verbs with pronouns are no such words."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.translation.vocabulary import strange_words
from shared.engines.protocols import Line
from tests.unit.services.translation.fakes import FakeTranslator, translate, utterances
from tests.unit.services.translation.test_stage import texts

STRANGE = [
    ("They are cowards.", "Son covardes.", "es", ["covardes"]),
    ("He is capable of it.", "É capaz de hacerlo.", "es", ["É"]),
    ("Excuse me, could I go?", "Excuseme, ¿podría irme?", "es", ["Excuseme"]),
    ("The land of the gatekeepers.", "La tierra de los gatekeepers.", "es", ["gatekeepers"]),
    ("It is nice to finally meet you.", "Me alegro de finally conocerte.", "es", ["finally"]),
    ("You know it.", "Você lo sabe.", "es", ["Você"]),
    ("You can do it.", "Puedo farlo, voulez.", "it", ["Puedo", "voulez"]),
    ("That is too much.", "Das ist muito.", "de", ["muito"]),
]
USUAL = [
    ("Tell me, Tom, don't worry.", "Dímelo, Tom, no te preocupes.", "es"),
    ("He kept explaining it to me.", "Siguió explicándomelo.", "es"),
    ("Come in, Mrs. Gatekeeper.", "Pase, señora Gatekeeper.", "es"),
    ("They will take a taxi to the hotel.", "Van a tomar un taxi al hotel.", "es"),
    ("Tell him about it, the alphabet is here.", "Parlargliene, c’è l’alfabeto, andiamocene.", "it"),
    ("Help her see him.", "Ajudá-la a vê-lo.", "pt"),
    ("What did you do today at the hotel?", "Qu'est-ce que tu as fait aujourd'hui à l'hôtel ?", "fr"),
    ("My train ticket lies on the table.", "Mein Zugticket liegt auf dem Küchentisch.", "de"),
    ("It is here.", "ここにあります。", "ja"),
    ("It is here.", "Det är här.", "sv"),
]


@pytest.mark.parametrize(("source", "text", "target", "words"), STRANGE)
def test_words_that_are_not_the_languages(source: str, text: str, target: str, words: list[str]) -> None:
    assert strange_words(source, text, "en", target) == words


@pytest.mark.parametrize(("source", "text", "target"), USUAL)
def test_usual_words_and_names_are_let_be(source: str, text: str, target: str) -> None:
    assert strange_words(source, text, "en", target) == []


def test_a_line_with_strange_words_is_asked_for_again_and_the_better_one_is_first(tmp_path: Path) -> None:
    def answer(line: Line, seed: int) -> str:
        return "Son unos covardes." if seed == 0 else "Son unos cobardes."

    answers, work = translate(
        tmp_path, utterances(["They are cowards."]), FakeTranslator({"They are cowards.": answer})
    )
    assert texts(answers) == ["Son unos cobardes."] and len(answers[0].hypotheses) == 2
    assert work.counters["strange_words"] == 1


def test_strange_words_are_better_than_no_line(tmp_path: Path) -> None:
    answers, _ = translate(
        tmp_path, utterances(["They are cowards."]), FakeTranslator({"They are cowards.": "Son unos covardes."})
    )
    assert texts(answers) == ["Son unos covardes."]
