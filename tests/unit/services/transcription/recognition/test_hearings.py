"""Ways of listening to a chunk."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from services.transcription.recognition.hearings import whole
from shared.audio.signal import SPEECH_RATE
from shared.core.errors import Cancelled
from shared.core.records import Word
from shared.engines.protocols import Segment
from tests.unit.services.transcription.conftest import tone


class Plain:
    """A recogniser without a call of its own for long sound: says how long each piece was."""

    def __init__(self) -> None:
        self.heard: list[float] = []

    def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
        seconds = len(audio) / SPEECH_RATE
        self.heard.append(seconds)
        words = [Word(start=0.5, end=1.0, text=f" piece{len(self.heard)}", probability=0.9)]
        return [Segment(words[0].text, words, -0.2, 0.1)]


def test_long_sound_is_heard_in_pieces_on_one_clock_and_may_be_stopped_between_them() -> None:
    engine, sound = Plain(), tone(100, rate=SPEECH_RATE)
    shares: list[float] = []
    words = whole(sound, "en", cast(Any, engine), shares.append, timed=True).words
    assert sum(engine.heard) == pytest.approx(100) and max(engine.heard) <= 28.1
    starts = np.cumsum([0.0, *engine.heard[:-1]]) + 0.5
    assert [heard.word.start for heard in words] == pytest.approx(starts, abs=1e-3)
    assert shares == sorted(shares) and len(shares) == len(engine.heard)

    def stop(share: float) -> None:
        if share:
            raise Cancelled

    stopped = Plain()
    with pytest.raises(Cancelled):
        whole(sound, "en", cast(Any, stopped), stop, timed=True)
    assert len(stopped.heard) == 1
