"""A cue that holds many sentences is taken apart at the times where they are heard."""

from __future__ import annotations

import pytest

from services.transcription.recognition.cue_splitting import placed, split_long_cues
from shared.core.records import Span, Word
from shared.media.subtitles import Cue
from shared.transcripts.transcript import Given

TEXT = "Good evening, Tom. Please come in, it is raining outside. Thank you, Anna. I missed the last train."


def heard(text: str, start: float, each: float = 0.3) -> list[Word]:
    words = text.split()
    return [Word(start=start + n * each, end=start + (n + 0.9) * each, text=word) for n, word in enumerate(words)]


def test_short_cues_stay() -> None:
    lines = [
        Given(Cue(0, 5, "One. Two.")),
        Given(Cue(6, 13, "Only one sentence that is slow.")),
        Given(Cue(0, 60, "x"), "bad"),
    ]
    assert [part.given for part in split_long_cues(lines, [])] == lines


def test_sentences_lie_where_the_title_has_speech() -> None:
    speech = [Span(start=2, end=4), Span(start=50, end=52)]
    parts = split_long_cues([Given(Cue(0, 60, "One sentence is here. Two sentence is here.", "Anna", 7))], speech)
    spans = [(part.given.cue.start, part.given.cue.end) for part in parts]
    assert spans == [(2.0, pytest.approx(4.0, abs=0.2)), (pytest.approx(4.0, abs=0.2), 52.0)]
    assert all(part.rough for part in parts)
    assert {part.given.cue.speaker for part in parts} == {"Anna"}


def test_lines_lie_where_their_words_are_heard() -> None:
    parts = [part.given for part in split_long_cues([Given(Cue(0, 30, TEXT))], [Span(start=0, end=30)])]
    words = heard("good evening tom please come it is raining outside", 2.0) + heard(
        "thank you i missed the last train", 20.0
    )
    speech = [Span(start=1.9, end=5.2), Span(start=19.9, end=22.5)]
    lines = placed(parts, words, speech, "en", 0.5, 12.0)
    assert " ".join(line.cue.text for line in lines) == TEXT
    assert all(line.cue.end <= 5.5 for line in lines if "Anna" not in line.cue.text and "missed" not in line.cue.text)
    assert next(line for line in lines if line.cue.text.startswith("Thank")).cue.start == pytest.approx(20.0, abs=0.2)


def test_scripts_without_spaces() -> None:
    text = "こんばんは、トム。どうぞ入って。ありがとう、アンナ。"
    parts = [part.given for part in split_long_cues([Given(Cue(0, 30, text))], [])]
    words = [Word(start=1, end=3, text="こんばんはトムどうぞ入って"), Word(start=20, end=22, text="ありがとうアンナ")]
    lines = placed(parts, words, [Span(start=1, end=3), Span(start=20, end=22)], "ja", 0.5, 12.0)
    assert "".join(line.cue.text for line in lines) == text
    assert lines[-1].cue.text == "ありがとう、アンナ。" and lines[-1].cue.start == pytest.approx(20.0, abs=0.1)


def test_text_that_nobody_says_keeps_its_share_of_the_time() -> None:
    parts = [part.given for part in split_long_cues([Given(Cue(0, 30, TEXT))], [Span(start=0, end=30)])]
    lines = placed(parts, heard("something else entirely", 5.0), [Span(start=0, end=30)], "en", 0.5, 12.0)
    assert " ".join(line.cue.text for line in lines) == TEXT
    assert lines[0].cue.start == 0 and lines[-1].cue.end == pytest.approx(30, abs=0.1)
