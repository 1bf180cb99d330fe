"""Lines cleaned of what a tokenizer does not know, with the tokenizers of the registry's models."""

from __future__ import annotations

import pytest

from services.translation.engines.firefox import FirefoxTranslator
from services.translation.engines.opus import OpusTranslator
from services.translation.engines.unknown_characters import KnownText
from shared.engines.protocols import EngineOptions, Line
from shared.weights import WeightFolder


def test_unknown_characters_are_taken_out_and_nothing_else() -> None:
    asked: list[str] = []

    def knows(text: str) -> bool:
        asked.append(text)
        return set(text) <= set("abc …")

    known_text = KnownText(knows)
    assert known_text("a  b …") == "a  b …", "a known line is as it was, its spaces too"
    assert known_text("♪ a b ♪") == "a b"
    assert known_text("a♥b") == "a b", "what it held apart stays apart"
    assert known_text("♪♥") == "♪♥", "an empty line cannot be translated either"
    assert asked.count("♪") == 1, "a character is asked for once"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("I love it ♥ so much.", "I love it so much."),
        ("Hello 日本 my friend", "Hello my friend"),
        ("Oh… ﬁne.", "Oh… ﬁne."),
    ],
)
def test_firefox(text: str, cleaned: str) -> None:
    engine = FirefoxTranslator(EngineOptions(), WeightFolder())
    assert engine._known_text["en", "pt"](text) == cleaned
    [[said], [plain]] = engine.translate([Line(text), Line(cleaned)], "en", "pt", 1)
    assert said == plain


def test_opus() -> None:
    engine = OpusTranslator(EngineOptions(), WeightFolder())
    assert engine._known_text("Oh… 𝄞 it is ♪ raining.") == "Oh… it is ♪ raining."
