"""The stage with a scripted translator: every line is answered for, whatever the model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.core.errors import Cancelled, EngineError, UsageError
from shared.core.records import Translation
from shared.engines.protocols import Line
from tests.unit.services.translation.fakes import SPANISH, FakeTranslator, translate, utterances


def texts(answers: list[Translation]) -> list[str | None]:
    return [answer.hypotheses[0].text if answer.hypotheses else None for answer in answers]


def test_every_line_of_the_chunk_is_translated_in_order_with_its_neighbours(tmp_path: Path) -> None:
    engine = FakeTranslator()
    answers, work = translate(tmp_path, utterances(SPANISH), engine, context_lines=1)
    assert texts(answers) == list(SPANISH.values())
    assert [answer.utterance for answer in answers] == ["u0001", "u0002", "u0003"]
    middle = engine.asked[1][0]
    assert middle.before == ("Good evening, Tom.",) and middle.after == ("Wait for me here, please.",)
    assert work.shares[-1] == 1.0


def test_a_line_belongs_to_the_chunk_where_it_starts(tmp_path: Path) -> None:
    chunks = ((0, 6), (6, 60))
    parts = [translate(tmp_path, utterances(SPANISH), FakeTranslator(), chunks=chunks, chunk=n)[0] for n in (0, 1)]
    assert [[answer.utterance for answer in part] for part in parts] == [["u0001"], ["u0002", "u0003"]]


def test_dropped_lines_are_left_out_and_a_silent_title_is_empty(tmp_path: Path) -> None:
    lines = utterances(SPANISH)
    lines[1] = lines[1].model_copy(update={"status": "dropped", "reason": "hallucination"})
    answers, _ = translate(tmp_path, lines, FakeTranslator())
    assert [answer.utterance for answer in answers] == ["u0001", "u0003"]
    assert translate(tmp_path / "silent", [], FakeTranslator(), source=None)[0] == []


def test_the_source_language_itself_is_spoken_as_it_is(tmp_path: Path) -> None:
    engine = FakeTranslator()
    answers, _ = translate(tmp_path, utterances(SPANISH), engine, language="en")
    assert texts(answers) == list(SPANISH) and not engine.asked


def test_an_edited_line_is_taken_as_written_and_the_others_are_not_redone(tmp_path: Path) -> None:
    engine = FakeTranslator()
    translate(tmp_path, utterances(SPANISH), engine)
    asked = len(engine.asked)
    answers, work = translate(tmp_path, utterances(SPANISH), engine, edits={"u0002": "¡La llave!"})
    assert texts(answers)[1] == "¡La llave!" and answers[1].edited and not answers[0].edited
    assert len(engine.asked) == asked and work.made == 0


def test_given_lines_are_taken_as_they_are_and_the_others_translated_and_marked(tmp_path: Path) -> None:
    engine = FakeTranslator()
    given = {"u0001": "Muy buenas, Tom, muy buenas noches, pase usted por aquí, hágame el favor.", "u0003": "¡Espera!"}
    answers, _ = translate(tmp_path, utterances(SPANISH), engine, given=given, edits={"u0003": "Aguarda."})
    assert texts(answers) == [given["u0001"], SPANISH["I have to find the old key."], "Aguarda."]
    assert [answer.engine for answer in answers] == ["given", "fake", None]
    assert [answer.edited for answer in answers] == [False, False, True]
    assert len(engine.asked) == 1 and all(len(answer.hypotheses) == 1 for answer in answers)


def test_a_title_whose_lines_are_all_given_needs_no_engine_for_its_languages(tmp_path: Path) -> None:
    given = {f"u{number:04}": text for number, text in enumerate(SPANISH.values(), 1)}
    answers, _ = translate(tmp_path, utterances(SPANISH), FakeTranslator(pairs=set()), given=given)
    assert texts(answers) == list(SPANISH.values())


def test_dots_are_not_made_into_sentences(tmp_path: Path) -> None:
    engine = FakeTranslator()
    answers, _ = translate(tmp_path, utterances(["…"]), engine)
    assert texts(answers) == ["…"] and not engine.asked


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ValueError("tensor"), "engine_failed"),
        (EngineError("no answer", code="line_failed"), "engine_failed"),
        (None, "engine_miscounted"),
        ([], "empty"),
        ("", "empty"),
        ("I have to find the old key.", "copied"),
        ("Je dois trouver la vieille clé, je ne sais pas où.", "wrong_language"),
    ],
)
def test_a_line_that_cannot_be_had_is_listed_with_its_reason_and_stops_no_other(
    tmp_path: Path, answer: Any, reason: str
) -> None:
    engine = FakeTranslator({**SPANISH, "I have to find the old key.": answer})
    answers, work = translate(tmp_path, utterances(SPANISH), engine)
    assert [item.status for item in answers] == ["ok", "failed", "ok"]
    assert answers[1].reason == reason and answers[1].hypotheses == []
    assert work.counters["lines_failed"] == 1 and work.counters["retries"] == 1


def test_the_second_try_is_alone_and_with_another_seed(tmp_path: Path) -> None:
    def answer(line: Line, seed: int) -> str:
        return "I have to find the old key." if seed == 0 else "Tengo que encontrar la llave vieja."

    engine = FakeTranslator({**SPANISH, "I have to find the old key.": answer})
    answers, work = translate(tmp_path, utterances(SPANISH), engine)
    assert texts(answers) == list(SPANISH.values())
    assert [(seed, line.before) for line, seed in engine.asked if line.text.startswith("I have")] == [
        (0, ("Good evening, Tom.",)),
        (1, ()),
    ]
    assert work.counters["refused_copied"] == 1


def test_a_shorter_version_is_asked_for_when_none_can_be_spoken_in_time(tmp_path: Path) -> None:
    def answer(line: Line, seed: int) -> str:
        return "Espera aquí." if seed == 2 else "Te ruego que me esperes aquí mismo un momento, por favor."

    engine = FakeTranslator({"Wait for me here, please.": answer})
    answers, work = translate(tmp_path, utterances(["Wait for me here, please."], seconds=0.8, every=1.0), engine)
    assert texts(answers) == ["Espera aquí."] and len(answers[0].hypotheses) == 2
    assert work.counters["rewrites"] == 1
    assert engine.asked[1][0].max_chars < engine.asked[0][0].max_chars * 3


def test_a_pair_the_engine_cannot_do_is_said_before_any_line(tmp_path: Path) -> None:
    engine = FakeTranslator(pairs={("en", "pt")})
    with pytest.raises(UsageError, match=r"translation\.by_language\.es") as caught:
        translate(tmp_path, utterances(SPANISH), engine)
    assert caught.value.code == "unsupported_pair" and not engine.asked


@pytest.mark.parametrize("error", [Cancelled(), EngineError("missing", code="weights_missing")])
def test_what_concerns_all_lines_is_not_one_lines_failure(tmp_path: Path, error: Exception) -> None:
    engine = FakeTranslator({**SPANISH, "Good evening, Tom.": error})
    with pytest.raises(type(error)):
        translate(tmp_path, utterances(SPANISH), engine)


def test_the_glossary_is_applied(tmp_path: Path) -> None:
    engine = FakeTranslator({"Start the warp drive.": "Enciende el warp drive."})
    answers, _ = translate(
        tmp_path, utterances(["Start the warp drive."]), engine, glossary={"warp drive": "motor de curvatura"}
    )
    assert texts(answers) == ["Enciende el motor de curvatura."]


def test_a_failure_of_the_engine_is_asked_again_by_the_next_run(tmp_path: Path) -> None:
    lines = utterances(SPANISH)
    translate(tmp_path, lines, FakeTranslator({**SPANISH, "Good evening, Tom.": OSError("busy")}))
    answers, work = translate(tmp_path, lines, FakeTranslator())
    assert texts(answers) == list(SPANISH.values()) and work.made == 1


def test_an_engine_that_fails_on_every_line_fails_the_language(tmp_path: Path) -> None:
    engine = FakeTranslator(dict.fromkeys(SPANISH, RuntimeError("out of memory")))
    with pytest.raises(EngineError) as caught:
        translate(tmp_path, utterances(SPANISH), engine)
    assert caught.value.code == "engine_failed"


def test_a_package_that_is_missing_is_said_by_name(tmp_path: Path) -> None:
    engine = FakeTranslator(dict.fromkeys(SPANISH, ImportError("no module", name="xllamacpp")))
    with pytest.raises(EngineError, match="xllamacpp") as caught:
        translate(tmp_path, utterances(SPANISH), engine)
    assert caught.value.code == "engine_missing"
