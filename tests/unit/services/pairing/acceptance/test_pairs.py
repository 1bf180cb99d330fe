"""What is told of given translations where rows are made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from services.pairing.acceptance.pairs import cut_translations, engines_of, options
from shared.core.records import DubbedUtterance
from shared.settings.models import Settings


def line(number: int, **facts: Any) -> DubbedUtterance:
    times = {"start": 0.0, "end": 1.0, "source_start": 0.0, "source_end": 1.0, "slot_start": 0.0, "slot_end": 1.0}
    own = {"id": f"u{number:04}", "speaker": "S1", "language": "es", "source_text": "Hi", "text": "Hola"}
    return DubbedUtterance(**{**times, **own, **facts})


def test_given_lines_that_are_cut_are_named_and_others_not() -> None:
    spoken = [
        line(1, translator="given", status="overflow", overflow_ms=420.0),
        line(2, translator="given"),
        line(3, translator="embedded", status="overflow", overflow_ms=900.0),
    ]
    facts: Any = SimpleNamespace(
        tracks={"es": SimpleNamespace(spoken=spoken), "fr": SimpleNamespace(spoken=spoken[1:])}
    )
    (note,) = cut_translations(facts)
    assert note.kind == "translation_too_long"
    assert note.message == "es: 1 given lines do not fit their time, however fast, and are cut: u0001 (0.4 s)."


def test_a_row_says_that_its_translation_was_given() -> None:
    settings = options(Settings())
    usual = engines_of("es", settings)
    given, by_engine = line(1, translator="given"), line(2, translator="embedded")
    assert engines_of("es", settings, [by_engine]) == usual
    assert engines_of("es", settings, [given])["translation"] == "given"
    assert engines_of("es", settings, [given, by_engine])["translation"] == f"given, {usual['translation']}"
    assert engines_of("orig", settings, [given]) == {}
