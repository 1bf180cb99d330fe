"""Which language a title speaks, where no detector hears anybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from services.transcription.stage import LANGUAGE
from shared.core.records import Word
from shared.engines.protocols import Segment
from shared.pipeline.stage import Scope
from shared.settings.models import TranscriptionSettings
from tests.unit.services.transcription.conftest import FakeWork, tone

LOUD, QUIET, VOICE = 0.008, 0.004, 0.002
"""All of it below what the detector of these tests hears."""


class HearsTheQuietest:
    """Understands words where the sound is quietest; counts what it listens to."""

    def __init__(self) -> None:
        self.asked = 0

    def language(self, audio: np.ndarray) -> dict[str, float]:
        return {"fr": 0.9}

    def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
        self.asked += 1
        if np.abs(audio).max() > (VOICE + QUIET) / 2:
            return []
        words = [Word(start=2.0, end=4.0, text=" bonsoir", probability=0.9)]
        return [Segment("Bonsoir à tous", words, -0.3, 0.1)]


@pytest.mark.parametrize("voice_at", [None, 6])
def test_a_title_is_without_speech_only_when_all_of_it_was_listened_to(
    voice_at: int | None, chunk_inputs: Callable[..., dict[str, Path]], work: FakeWork
) -> None:
    levels = [QUIET] * 11
    levels[::2] = [LOUD] * 6  # A fifth of the title is 66 s: these are listened to first.
    if voice_at is not None:
        levels[voice_at + 1] = VOICE
    sound = np.concatenate([tone(30, level=level) for level in levels])
    recognizer = HearsTheQuietest()
    out = LANGUAGE.run(Scope(), chunk_inputs(sound), TranscriptionSettings(), {"recognizer": recognizer}, work)
    answer = json.loads(out["language.json"].read_text())
    if voice_at is None:
        assert (answer["language"], answer["reason"], recognizer.asked) == (None, "no_speech", 11)
    else:
        assert answer["language"] == "fr" and 5 < recognizer.asked < 11
