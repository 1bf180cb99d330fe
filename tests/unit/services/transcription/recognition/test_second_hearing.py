"""Speech without text: which stretches are heard again, and what is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.transcription.recognition.chunk_utterances import ChunkSound, listen
from services.transcription.recognition.second_hearing import hear_again, one_text, unheard
from services.transcription.recognition.utterances import Heard
from shared.audio.signal import SPEECH_RATE
from shared.core.records import Span, Word
from shared.engines.protocols import Segment
from shared.settings.models import TranscriptionSettings
from tests.unit.services.transcription.conftest import LevelVad, PitchEmbedder, tone

SETTINGS = TranscriptionSettings()


def word(start: float, end: float, text: str = " word") -> Heard:
    return Heard(Word(start=start, end=end, text=text), -0.3, 0.1)


class Says:
    """Says one thing of every sound."""

    def __init__(self, text: str, logprob: float = -0.5, no_speech: float = 0.2) -> None:
        self.answer = Segment(text, [Word(start=0, end=0.1, text=text)], logprob, no_speech)
        self.asked: list[float] = []

    def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
        self.asked.append(len(audio) / SPEECH_RATE)
        return [self.answer] if self.answer.text else []


def test_what_no_word_is_near_is_unheard() -> None:
    speech = [Span(start=0, end=4), Span(start=5, end=5.5), Span(start=6, end=9)]
    gaps = unheard(speech, [word(0.2, 1.0), word(3.5, 4.0), word(6.1, 6.5)])
    assert [(round(gap.start, 2), round(gap.end, 2)) for gap in gaps] == [(1.3, 3.2), (6.8, 9.0)]
    assert unheard(speech, []) == [speech[0], speech[2]]
    assert unheard([], [word(0, 1)]) == []


@pytest.mark.parametrize(
    ("text", "logprob", "no_speech", "believed"),
    [
        ("I don't know.", -0.6, 0.3, True),
        ("I don't know.", -1.1, 0.3, False),
        ("Thank you.", -0.3, 0.1, False),
        ("Subtitles by somebody", -0.3, 0.1, False),
        ("", -0.3, 0.1, False),
    ],
)
def test_only_surer_text_is_believed(text: str, logprob: float, no_speech: float, believed: bool) -> None:
    gap, sound = Span(start=1, end=2.5), np.zeros(4 * SPEECH_RATE, np.float32)
    found = hear_again(gap, [sound], "en", Says(text, logprob, no_speech), [gap], SETTINGS)  # type: ignore[arg-type]
    assert bool(found) == believed
    if found:
        assert (found[0].word.start, found[-1].word.end) == (1, pytest.approx(2.5))
        assert "".join(heard.word.text for heard in found).strip() == text


def test_the_surest_sound_wins_and_repeated_segments_count_once() -> None:
    segment = Segment("again", [], -0.5, 0.1)
    assert one_text([segment, segment]) == ("again", -0.5, 0.1)
    assert one_text([])[0] == ""


def test_a_lost_sentence_comes_back() -> None:
    audio = np.concatenate([tone(3.0, rate=SPEECH_RATE)])

    class Half:
        """Hears the first second of long sound, all of short sound."""

        def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
            if len(audio) > 2.9 * SPEECH_RATE:
                return [Segment("first", [Word(start=0.1, end=1.0, text=" first")], -0.3, 0.1)]
            return [Segment("second", [Word(start=0.0, end=0.2, text=" second")], -0.4, 0.1)]

    engines: dict[str, Any] = {"recognizer": Half(), "embedder": PitchEmbedder(), "vad": LevelVad()}
    spans = LevelVad().speech(audio)
    lines = listen(ChunkSound(audio, audio, spans, spans), "en", SETTINGS, engines, lambda share: None)
    assert [line.text for line in lines] == ["first", "second"]
    assert lines[1].end == pytest.approx(3.0, abs=0.1) and lines[1].start >= lines[0].end
