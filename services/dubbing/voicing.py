"""One line from text to speech of the right length: choose the wording, synthesise, listen to the length, try again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf

from services.dubbing.finishing import trim
from services.dubbing.fitting import RANK_COST, Pace, Placement, choose, first_speed, misfit, next_speed, place
from shared.audio.signal import SPEECH_RATE, fade, resample
from shared.audio.stretch import stretch
from shared.errors import EngineError
from shared.pipeline.stage import Work
from shared.records import SAMPLE_RATE, Hypothesis
from shared.settings import DubbingSettings

OVERFLOW_FADE_SECONDS = 0.05


class Take(NamedTuple):
    """One synthesis of one wording."""

    text: str
    audio: np.ndarray
    """Trimmed, mono, at the engine's sample rate."""
    seconds: float
    speed: float


class Voiced(NamedTuple):
    """Speech of a line at 48 kHz, fitted to its slot."""

    audio: np.ndarray
    take: Take
    placement: Placement
    attempts: int


@dataclass
class Voicer:
    """Speaks the lines of one chunk in one language; what it learns about pace stays inside."""

    synthesizer: Any
    converter: Any | None
    language: str
    settings: DubbingSettings
    work: Work

    def __post_init__(self) -> None:
        self.pace = Pace(self.language)

    def speak(
        self,
        hypotheses: list[Hypothesis],
        voice: str,
        source: float,
        slot: float,
        reference: np.ndarray,
    ) -> Voiced:
        """The best-fitting wording, spoken as long as ``source`` where that sounds natural, never longer than ``slot``.

        Args:
            source: Seconds that the original line speaks.
            slot: Seconds there are.
            reference: Mono 16 kHz speech of the original speaker.

        Raises:
            EngineError: When nothing could be synthesised.
        """
        fit = self.settings.fit
        native = self.synthesizer.native_speed
        left = list(hypotheses)
        best: Take | None = None
        attempts = 0
        speed: float | None = None
        text = ""
        while attempts <= fit.max_retries:
            if speed is None:
                seconds = [self.pace.seconds(option.text, voice) for option in left]
                index = choose(left, seconds, source, slot, fit)
                text = left.pop(index).text
                speed = first_speed(seconds[index], source, native)
            take = self._take(text, voice, speed, reference)
            attempts += 1
            self.pace.learn(text, voice, take.seconds, speed)
            if best is None or self._cost(take, source, slot) < self._cost(best, source, slot):
                best = take
            if self._other_wording_needed(take, voice, source, slot, left):
                speed = None
                continue
            speed = next_speed(take.speed, take.seconds, source, slot, native=native, fit=fit)
            if speed is None:
                break
        if best is None:
            raise EngineError("Nothing was synthesised.", code="nothing_to_speak")
        self.work.count("retries", attempts - 1)
        return self._fit(best, source, slot, attempts, reference)

    def _other_wording_needed(self, take: Take, voice: str, source: float, slot: float, left: list[Hypothesis]) -> bool:
        """Whether another wording, as predicted, fits clearly better than this one as heard, both said briskly."""
        fit = self.settings.fit
        heard = misfit(take.seconds * take.speed / fit.accept_high, source, slot, fit)
        seconds = (self.pace.seconds(option.text, voice) / fit.accept_high for option in left)
        return min((misfit(length, source, slot, fit) for length in seconds), default=heard) + RANK_COST < heard

    def _cost(self, take: Take, source: float, slot: float) -> float:
        """Distance from a length that needs no audible stretch; hurry counts a little by itself."""
        return misfit(take.seconds, source, slot, self.settings.fit) + 0.1 * abs(np.log(take.speed))

    def _take(self, text: str, voice: str, speed: float, reference: np.ndarray) -> Take:
        rate = self.synthesizer.sample_rate
        heard = reference if getattr(self.synthesizer, "clones", False) else None
        key = {
            "text": text,
            "language": self.language,
            "voice": voice,
            "speed": speed,
            "seed": self.settings.seed,
            "reference": None if heard is None else hashlib.sha256(heard.tobytes()).hexdigest(),
        }
        path = self.work.cached(key, ".wav", partial(self._synthesise, text, voice, speed, heard))
        audio, _ = sf.read(path, dtype="float32")
        audio = trim(audio, rate)
        if not audio.size:
            raise EngineError("The synthesiser returned silence.", code="engine_failed")
        return Take(text, audio, audio.size / rate, speed)

    def _synthesise(self, text: str, voice: str, speed: float, reference: np.ndarray | None, path: Path) -> None:
        audio = self.synthesizer.synthesize(
            text, self.language, voice, speed=speed, seed=self.settings.seed, reference=reference
        )
        # 32-bit float: a synthesiser may go past full scale, and the gain comes later.
        sf.write(path, audio, self.synthesizer.sample_rate, format="WAV", subtype="FLOAT")

    def _fit(self, take: Take, source: float, slot: float, attempts: int, reference: np.ndarray) -> Voiced:
        audio, rate = take.audio, self.synthesizer.sample_rate
        if self.converter is not None:
            target = self.converter.sample_rate
            heard = resample(reference, SPEECH_RATE, target)
            audio, rate = self.converter.convert(resample(audio, rate, target), heard), target
        placement = place(take.seconds, source, slot, take.speed, self.settings.fit)
        audio = stretch(resample(audio, rate, SAMPLE_RATE), round(placement.length * SAMPLE_RATE))
        room = int(slot * SAMPLE_RATE)
        if audio.size > room:
            audio = fade(audio[:room], min(OVERFLOW_FADE_SECONDS, slot / 4))
        return Voiced(audio, take, placement, attempts)
