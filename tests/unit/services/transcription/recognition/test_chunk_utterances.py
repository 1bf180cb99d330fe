"""A chunk's lines: the video's own subtitles as a transcript, and what only the background to come would tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.transcription.recognition.chunk_utterances import ChunkSound, embedded_transcript, listen
from shared.audio.signal import SPEECH_RATE
from shared.core.records import Note, Span, Utterance, Word
from shared.engines.protocols import Segment
from shared.media.subtitle_streams import StreamCue, SubtitleStream
from shared.settings.models import TranscriptionSettings
from tests.unit.services.transcription.conftest import PitchEmbedder, tone

TEXTS = ["Good evening, Tom, please come in.", "[DOOR CLOSES]", "I missed the last train to the city."]


def read(folder: Path, language: str, zero: float = 0.0) -> tuple[list[tuple[str, str | None]], list[Note]]:
    stream = SubtitleStream(
        index=2,
        codec="srt",
        language="en",
        title="English (SDH)",
        forced=False,
        hearing_impaired=True,
        commentary=False,
        default=True,
        pictures=False,
        cues=[StreamCue(start=zero + n * 3, end=zero + n * 3 + 2, text=text) for n, text in enumerate(TEXTS)],
    )
    path = folder / "subtitles.json"
    path.write_text(json.dumps([stream.model_dump()]))
    notes: list[Note] = []
    cues = embedded_transcript(path, 20.0, language, notes)
    return [(given.cue.text, given.reason) for given in cues], notes


def test_the_stream_of_the_films_language_is_the_transcript(tmp_path: Path) -> None:
    cues, notes = read(tmp_path, "en")
    assert cues == [(TEXTS[0], None), ("", "no_words"), (TEXTS[2], None)]
    assert [note.kind for note in notes] == ["subtitles_used", "transcript_no_words"]


def test_without_one_that_can_be_used_the_film_is_heard(tmp_path: Path) -> None:
    cues, notes = read(tmp_path, "fr")
    assert cues == [] and [note.kind for note in notes] == ["subtitles_missing"]
    beyond, notes = read(tmp_path, "en", zero=100.0)
    assert beyond == [] and [note.kind for note in notes] == ["subtitles_used", "subtitles_missing"]


QUEST = "A dangerous quest for a lonely hunter"


def segment(text: str, start: float, end: float, no_speech: float) -> Segment:
    parts = text.split()
    edges = np.linspace(start, end, len(parts) + 1)
    times = zip(edges[:-1], edges[1:], parts, strict=True)
    words = [Word(start=a, end=b, text=f" {part}", probability=0.8) for a, b, part in times]
    return Segment(text, words, -0.2, no_speech)


class OneHears:
    """Only the call on the whole voice has a sentence; what is left is asked for with another answer."""

    def __init__(self, claim: Segment, left: Segment | None = None) -> None:
        self.claim, self.left = claim, left
        self.asked = 0

    def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
        return []

    def whole(self, audio: np.ndarray, language: str | None, *, timed: bool, **options: Any) -> list[Segment]:
        return [self.claim] if timed else []

    def skim(self, audio: np.ndarray, language: str | None) -> list[Segment]:
        self.asked += 1
        return [self.left] if self.left else []


class Deaf:
    def speech(self, audio: np.ndarray) -> list[Span]:
        return []


def heard(recognizer: OneHears, detected: Sequence[Span] = ()) -> list[Utterance]:
    mix = tone(20, rate=SPEECH_RATE)
    engines = {"recognizer": recognizer, "vad": Deaf(), "embedder": PitchEmbedder()}
    sound = ChunkSound(mix, mix / 2, [], detected)
    return listen(sound, "en", TranscriptionSettings(), engines, lambda share: None)


def test_what_lost_the_vote_and_is_believed_opens_the_gate() -> None:
    recognizer = OneHears(segment(QUEST, 6.0, 9.0, no_speech=0.4))
    (line,) = heard(recognizer)
    assert (line.status, line.reason, line.text) == ("dropped", "no_speech", QUEST)
    assert (line.start, line.end) == pytest.approx((6.0, 9.0)) and recognizer.asked == 0


def test_what_is_half_believed_is_listened_to_as_the_background_will_be() -> None:
    doubted = segment("A dangerous guest", 6.0, 9.0, no_speech=0.7)
    (line,) = heard(OneHears(doubted, left=segment(QUEST, 6.0, 9.0, no_speech=0.06)))
    assert (line.status, line.reason, line.text) == ("dropped", "no_speech", QUEST)
    silent = OneHears(doubted)
    assert heard(silent) == [] and silent.asked == 1


def test_inventions_open_nothing_and_where_a_voice_is_detected_nothing_is_asked() -> None:
    invention = OneHears(segment("I'll see you in the next video", 6.0, 9.0, no_speech=0.9))
    assert heard(invention) == [] and invention.asked == 0
    detected = OneHears(segment(QUEST, 6.0, 9.0, no_speech=0.4))
    assert heard(detected, [Span(start=5, end=10)]) == []


def test_a_sentence_with_rough_times_is_not_hidden_beside_its_own_line() -> None:
    class AllHear(OneHears):
        def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
            return [segment(QUEST, 0.3, 2.0, 0.1)]

        def whole(self, audio: np.ndarray, language: str | None, *, timed: bool, **options: Any) -> list[Segment]:
            if timed:
                return [segment(QUEST, 15.0, 17.0, 0.1)]
            rough = [Word(start=1.0, end=17.0, text=f" {part}", probability=0.0) for part in QUEST.split()]
            return [Segment(QUEST, rough, -0.2, 0.1)]

    (line,) = heard(AllHear(segment(QUEST, 15.0, 17.0, 0.1)), [Span(start=15, end=17)])
    assert (line.status, line.text) == ("ok", QUEST)
