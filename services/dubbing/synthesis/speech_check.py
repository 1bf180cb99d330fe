"""Whether drawn speech says its text and stops: a generative synthesiser may babble on, repeat or skip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from shared.audio.signal import SPEECH_RATE, resample
from shared.core.errors import EngineError
from shared.core.text import character_error_rate
from shared.engines.protocols import Voice
from shared.settings.models import GuardSettings

SPARE_SECONDS = 0.5
"""Hesitation that any line may have, short ones above all."""

Why = Literal["too_long", "too_short", "other_words"]


class Doubt(NamedTuple):
    """Why a take is not believed, and how bad it is: the least bad is kept when none is good."""

    why: Why | None
    badness: float


@dataclass
class Guard:
    """Listens to takes. ``recognizer``: a :class:`shared.engines.protocols.Recognizer`; None: length is judged."""

    settings: GuardSettings
    language: str
    recognizer: Any | None = None

    def doubt(self, text: str, audio: np.ndarray, rate: int, expected: float) -> Doubt:
        """What speaks against this being the text.

        Args:
            audio: Trimmed, mono at ``rate``.
            expected: Seconds that the text should take at the speed it was spoken at.
        """
        length = audio.size / rate
        long = length / (self.settings.longest * expected + SPARE_SECONDS)
        short = self.settings.shortest * expected / max(length, 1e-3)
        if long > 1 or short > 1:
            return Doubt("too_long" if long > short else "too_short", 1 + max(long, short))
        error = self.error(text, audio, rate)
        if error is not None and error > self.settings.max_error:
            return Doubt("other_words", min(error, 1.0))
        return Doubt(None, error or 0.0)

    def error(self, text: str, audio: np.ndarray, rate: int) -> float | None:
        """Character error rate of what a recogniser hears; None where it cannot be told."""
        if self.recognizer is None:
            return None
        heard = self.recognizer.transcribe(resample(audio, rate, SPEECH_RATE), self.language)
        try:
            return character_error_rate(text, " ".join(segment.text for segment in heard), self.language)
        except EngineError:
            # Japanese without a reader: length has to do.
            return None


@dataclass
class Fallback:
    """Another engine for lines that the chosen one cannot be trusted with."""

    name: str
    synthesizer: Any
    voices: list[Voice]

    def voice(self, gender: str | None) -> str:
        return next((one.id for one in self.voices if one.gender == gender), self.voices[0].id)
