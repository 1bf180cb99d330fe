"""Words where no line is: which are believed."""

from __future__ import annotations

from typing import Any

import pytest

from services.transcription.recognition.left_speech import Sentence, judge
from shared.core.records import Span, Utterance
from shared.settings.models import PairingSettings

LIMIT = PairingSettings().max_residual_speech


def line(text: str, start: float = 0.0, end: float = 3.0, language: str = "en", **more: Any) -> Utterance:
    return Utterance(id="u0001", start=start, end=end, language=language, text=text, **more)


def belief(text: str, no_speech: float, logprob: float, said: str = "", language: str = "en", at: float = 0.0) -> float:
    sentence = Sentence(Span(start=0.5, end=2.5), text, logprob, no_speech)
    original = [line(said, at, at + 3.0, language)] if said else []
    return judge(sentence, original, language).belief


@pytest.mark.parametrize(
    ("text", "no_speech", "logprob", "said", "left"),
    [
        ("A dangerous quest for a lonely hunter", 0.06, -0.4, "A dangerous quest for a lonely hunter.", True),
        ("A dangerous quest for a lonely hunter", 0.06, -0.4, "", True),
        ("I know this letter.", 0.46, -0.61, "I know this letter.", True),
        ("It is beautiful.", 0.13, -0.96, "It is beautiful.", True),
        ("I'm going to go home.", 0.64, -1.2, "", False),
        ("I'll see you in the next video.", 0.83, -0.9, "", False),
        ("What do you mean by that?", 0.46, -0.9, "", False),
        ("I don't know what to do.", 0.74, -1.33, "I know this letter.", False),
        ("Thank you for watching!", 0.05, -0.3, "", False),
        ("I'm sorry, " * 30, 0.52, -0.12, "I'm sorry, I'm late.", False),
        ("Oh!", 0.05, -0.3, "", False),
    ],
)
def test_inventions_and_leaks_are_told_apart(
    text: str, no_speech: float, logprob: float, said: str, left: bool
) -> None:
    assert (belief(text, no_speech, logprob, said) > LIMIT) is left


def test_words_count_only_near_the_line_that_says_them() -> None:
    doubtful = ("I know this letter.", 0.46, -0.61, "I know this letter.")
    assert belief(*doubtful, at=1.0) > LIMIT > belief(*doubtful, at=30.0)


def test_japanese_words_are_compared_without_spaces() -> None:
    text = "古い鍵が青い扉を開ける"
    assert belief(text, 0.4, -0.8, f"見て、{text}。", "ja") > LIMIT > belief(text, 0.4, -0.8, "とても綺麗です", "ja")
