"""Lines asked together, where an engine wants that; which engine spoke; which weights a language needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.translation.engines.multisource import PIVOTS
from services.translation.stage import translator
from shared.core.errors import EngineError
from shared.core.records import Hypothesis
from shared.engines.protocols import EngineOptions, Line, engine_class
from shared.pipeline.stage import Scope, Work
from shared.settings.models import settings_from
from tests.unit.services.translation.fakes import SPANISH, FakeTranslator, translate, utterances
from tests.unit.services.translation.test_stage import texts


class Many(FakeTranslator):
    """Asks for two lines at once and keeps how many came."""

    size = 2

    def __init__(self, *args: Any, fails: Exception | None = None) -> None:
        super().__init__(*args)
        self.calls: list[int] = []
        self.fails = fails

    def together(self, source: str, target: str) -> int:
        return self.size

    def translate(
        self, lines: Sequence[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        self.calls.append(len(lines))
        if len(lines) > 1 and self.fails:
            raise self.fails
        return super().translate(lines, source, target, count, seed)


def test_first_questions_go_together_in_order(tmp_path: Path) -> None:
    engine = Many()
    answers, _ = translate(tmp_path, utterances(SPANISH), engine)
    assert texts(answers) == list(SPANISH.values()) and engine.calls == [2, 1]


def test_what_was_answered_before_is_not_asked_again(tmp_path: Path) -> None:
    translate(tmp_path, utterances(SPANISH), Many())
    engine = Many()
    translate(tmp_path, utterances(SPANISH), engine)
    assert engine.calls == []


def test_dots_and_edited_lines_are_not_sent(tmp_path: Path) -> None:
    engine = Many()
    lines = utterances([*SPANISH, "…"])
    answers, _ = translate(tmp_path, lines, engine, edits={"u0001": "Hola."})
    assert engine.calls == [2] and [answer.engine for answer in answers] == [None, "fake", "fake", None]


def test_the_same_words_twice_are_asked_once(tmp_path: Path) -> None:
    engine = Many()
    text = next(iter(SPANISH))
    answers, _ = translate(tmp_path, utterances([text] * 3), engine, context_lines=0)
    assert texts(answers) == [SPANISH[text]] * 3 and sum(engine.calls) <= 2


@pytest.mark.parametrize("error", [ValueError("tensor"), EngineError("no", code="line_failed")])
def test_a_call_that_fails_is_made_line_by_line(tmp_path: Path, error: Exception) -> None:
    engine = Many(fails=error)
    answers, _ = translate(tmp_path, utterances(SPANISH), engine)
    assert texts(answers) == list(SPANISH.values()) and engine.calls == [2, 1, 1, 1]


def test_what_concerns_all_lines_ends_it(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="gone"):
        translate(tmp_path, utterances(SPANISH), Many(fails=EngineError("gone", code="endpoint_failed")))


def test_a_bad_candidate_of_a_batch_is_asked_for_again_alone(tmp_path: Path) -> None:
    def answer(line: Line, seed: int) -> str:
        return "I have to find the old key." if seed == 0 else "Tengo que encontrar la llave vieja."

    engine = Many({**SPANISH, "I have to find the old key.": answer})
    answers, work = translate(tmp_path, utterances(SPANISH), engine)
    assert texts(answers) == list(SPANISH.values()) and work.counters["retries"] == 1


def test_the_engine_gets_the_glossary_of_the_line(tmp_path: Path) -> None:
    engine = FakeTranslator()
    translate(tmp_path, utterances(SPANISH), engine, glossary={"Old Key": "llave vieja", "art": "arte"})
    assert [line.terms for line, _ in engine.asked] == [(), (("Old Key", "llave vieja"),), ()]


def needed(target: str, **translation: Any) -> dict[str, str]:
    uses = translator(settings_from("cpu", {"translation": translation}), Scope(target, 0))
    return {role: use.name for role, use in uses.items()}


def test_the_default_needs_the_models_of_its_language_only() -> None:
    assert needed("de") == {"translator": "llama"}
    assert needed("es") == {"translator": "llama"} | ({"translator:en": "multisource"} if PIVOTS else {})
    assert needed("fr") == {"translator": "llama", "translator:en": "opus"}
    assert needed("pt") == {"translator": "llama", "translator:en": "firefox"}
    assert needed("fr", engine="opus") == {"translator": "opus"}
    assert needed("es", by_language={"es": "openai"}) == {"translator": "openai"}
    for use in translator(settings_from("cpu", {}), Scope("de", 0)).values():
        assert engine_class("translator", use.name).weights(EngineOptions()) == ("qwen2.5-coder-1.5b-instruct-q4",)


@pytest.mark.parametrize(("source", "spoke"), [("en", "opus"), ("de", "llama")])
def test_every_line_says_which_engine_spoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, spoke: str
) -> None:
    from services.translation import stage

    def named(name: str) -> FakeTranslator:
        engine = FakeTranslator({text: [found] for text, found in SPANISH.items()})
        engine.name = name
        return engine

    engines = {"translator": named("llama"), "translator:en": named("opus")}

    def with_both(scope: Scope, inputs: Any, settings: Any, _: Any, work: Work) -> Mapping[str, Path]:
        return stage.run(scope, inputs, settings, engines, work)

    monkeypatch.setattr("tests.unit.services.translation.fakes.run", with_both)
    answers, _ = translate(tmp_path, utterances(SPANISH), None, source=source)
    assert {answer.engine for answer in answers} == {spoke}
    assert isinstance(answers[0].hypotheses[0], Hypothesis)
