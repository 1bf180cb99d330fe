"""Words that hearings disagree about: whose version is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest

from services.transcription.recognition.rescoring import reconsider
from services.transcription.recognition.utterances import Heard
from services.transcription.recognition.voting import Hearing
from shared.audio.signal import SPEECH_RATE
from shared.core.records import Word

SOUND = np.zeros(20 * SPEECH_RATE, np.float32)


def words(text: str, start: float = 1.0) -> list[Heard]:
    return [
        Heard(Word(start=start + i / 2, end=start + i / 2 + 0.4, text=f" {part}", probability=0.6), -0.5, 0.1)
        for i, part in enumerate(text.split())
    ]


class Weighs:
    """Knows how likely some words are; the others are impossible."""

    def __init__(self, likely: Mapping[str, float]) -> None:
        self.likely = likely
        self.asked: list[Sequence[str]] = []

    def likelihoods(self, audio: np.ndarray, texts: Sequence[str], language: str) -> list[float]:
        self.asked.append(texts)
        return [sum(self.likely.get(word, 0.0) for word in text.split()) for text in texts]


def said(group: Sequence[Heard]) -> str:
    return "".join(heard.word.text for heard in group).strip()


def chosen(line: str, others: Sequence[str], likely: Mapping[str, float]) -> list[Heard]:
    hearings = [Hearing(words(other)) for other in others]
    return reconsider(words(line), hearings, (SOUND, SOUND), "en", cast(Any, Weighs(likely)))


def test_the_version_that_is_clearly_more_likely_is_taken() -> None:
    line, other = "so I am very sure of it", "so I am very sorry of it"
    assert said(chosen(line, [line, other], {"sure": -9.0, "sorry": -3.0})) == other
    assert said(chosen(line, [line, other], {"sure": -4.0, "sorry": -3.0})) == line
    assert said(chosen(line, [line, other], {"sure": -3.0, "sorry": -9.0})) == line


def test_several_places_of_a_line_are_weighed_apart_and_keep_their_times() -> None:
    line, other = "one two three four five six", "one too three for five six"
    group = chosen(line, [other], {"two": -9.0, "for": -9.0})
    assert said(group) == "one too three four five six"
    assert [(heard.word.start, heard.word.end) for heard in group] == [
        (heard.word.start, heard.word.end) for heard in words(line)
    ]


@pytest.mark.parametrize(
    "other",
    [
        "one two three",
        "another line of words",
        "one two three four and so on five",
        "one six seven four five",
        "1 two three four 5",
    ],
)
def test_words_more_or_fewer_several_in_a_row_and_other_sentences_are_left_to_the_vote(other: str) -> None:
    line = "one two three four five"
    assert said(chosen(line, [other], dict.fromkeys(line.split(), -9.0))) == line


def test_hearings_that_agree_cost_nothing_and_other_recognisers_weigh_nothing() -> None:
    weighs = Weighs({})
    line = words("one two three")
    assert (
        reconsider(line, [Hearing(line), Hearing(line)], (SOUND,), "en", cast(Any, weighs)) == line
        and weighs.asked == []
    )
    assert reconsider(line, [Hearing(words("one too three"))], (SOUND,), "en", cast(Any, object())) == line
