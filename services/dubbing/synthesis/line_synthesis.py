"""One line from text to speech of the right length: choose the wording, synthesise, listen to the length, try again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf

from services.dubbing.post_processing import trim
from services.dubbing.synthesis.batching import FAULTS, SynthesisAhead
from services.dubbing.synthesis.duration_fitting import (
    RANK_COST,
    Placement,
    SpeakingPace,
    choose,
    first_speed,
    misfit,
    next_speed,
    place,
)
from services.dubbing.synthesis.speech_check import Fallback, Guard
from shared.audio.signal import SPEECH_RATE, fade, resample
from shared.audio.stretch import stretch
from shared.core.errors import EngineError
from shared.core.records import SAMPLE_RATE, Hypothesis
from shared.core.spoken_form import read_aloud
from shared.engines.protocols import SpeechRequest
from shared.pipeline.stage import Work
from shared.settings.models import DubbingSettings

OVERFLOW_FADE_SECONDS = 0.05
FALLING_BACK = frozenset({"no_reference", "engine_failed", "out_of_memory"})
"""Errors of an engine with a fallback after which that speaks the line: another take would end the same."""


class Take(NamedTuple):
    """One synthesis of one wording."""

    text: str
    audio: np.ndarray
    """Trimmed, mono, at the engine's sample rate."""
    seconds: float
    speed: float
    rate: int
    voice: str
    """As the record names it: the cast voice, or ``engine:voice`` of the engine that stood in."""
    note: str | None = None
    """What is worth telling about a line that was spoken all the same."""
    believed: bool = True
    """Whether it sounds like its text."""


class SpokenLine(NamedTuple):
    """What is to be said by whom, and the room there is."""

    hypotheses: list[Hypothesis]
    voice: str
    source: float
    """Seconds that the original line speaks."""
    slot: float
    """Seconds there are."""


class Voiced(NamedTuple):
    """Speech of a line at 48 kHz, fitted to its slot."""

    audio: np.ndarray
    take: Take
    placement: Placement
    attempts: int


def key_of(line: SpokenLine) -> tuple[object, ...]:
    return (*(option.text for option in line.hypotheses), line.voice, line.source, line.slot)


@dataclass
class Voicer:
    """Speaks the lines of one chunk in one language; what it learns about pace stays inside."""

    synthesizer: Any
    converter: Any | None
    language: str
    settings: DubbingSettings
    work: Work
    guard: Guard | None = None
    """For synthesisers that draw their speech."""
    fallback: Fallback | None = None

    def __post_init__(self) -> None:
        self.pace = SpeakingPace(self.language)
        self._first: dict[tuple[object, ...], tuple[int, float]] = {}
        self._ahead = SynthesisAhead(self.synthesizer, [])

    def announce(self, lines: Sequence[SpokenLine]) -> None:
        """Tell which lines will be spoken, in order: an engine that can speaks their first takes in batches.

        What is said first is decided here for all of them, before the pace of a voice is known from real speech.
        """
        requests = []
        for line in lines:
            try:
                index, speed = self._choice(line)
            except FAULTS:
                continue  # It will fail by itself, when it is spoken, and alone.
            self._first[key_of(line)] = index, speed
            text = self._spoken(line.hypotheses[index].text)
            requests.append(SpeechRequest(text, self.language, line.voice, speed, self.settings.seed))
        self._ahead = SynthesisAhead(self.synthesizer, requests)

    def _spoken(self, text: str) -> str:
        """What the engine is given: whatever is written short is written out."""
        return read_aloud(text, self.language)

    def _choice(self, line: SpokenLine) -> tuple[int, float]:
        """Index of the wording to say and the native speed to ask for."""
        announced = self._first.pop(key_of(line), None)
        if announced is not None:
            return announced
        seconds = [self.pace.seconds(self._spoken(option.text), line.voice) for option in line.hypotheses]
        index = choose(line.hypotheses, seconds, line.source, line.slot, self.settings.fit)
        return index, first_speed(seconds[index], line.source, self.synthesizer.native_speed)

    def speak(
        self,
        hypotheses: list[Hypothesis],
        voice: str,
        source: float,
        slot: float,
        reference: np.ndarray,
        gender: str | None = None,
    ) -> Voiced:
        """The best-fitting wording, spoken as long as ``source`` where that sounds natural, never longer than ``slot``.

        Args:
            source: Seconds that the original line speaks.
            slot: Seconds there are.
            reference: Mono 16 kHz speech of the original speaker.
            gender: Of the voice that stands in where this one fails.

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
                index, speed = self._choice(SpokenLine(left, voice, source, slot))
                text = left.pop(index).text
            take = self._take(text, voice, speed, reference, gender)
            attempts += 1
            # What another voice took, or a take that cannot be believed, says nothing about this one.
            if take.believed:
                self.pace.learn(self._spoken(text), take.voice, take.seconds, speed)
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
        seconds = (self.pace.seconds(self._spoken(option.text), voice) / fit.accept_high for option in left)
        return min((misfit(length, source, slot, fit) for length in seconds), default=heard) + RANK_COST < heard

    def _cost(self, take: Take, source: float, slot: float) -> float:
        """Distance from a length that needs no audible stretch; hurry counts a little by itself."""
        return misfit(take.seconds, source, slot, self.settings.fit) + 0.1 * float(abs(np.log(take.speed)))

    def _take(self, text: str, voice: str, speed: float, reference: np.ndarray, gender: str | None) -> Take:
        """A take that can be believed; else what stands in for it, with a note."""
        heard = reference if getattr(self.synthesizer, "clones", False) else None
        if self.guard is None:
            return self._once(text, voice, speed, self.settings.seed, heard)
        best: Take | None = None
        least = float("inf")
        why = "no_reference"
        for number in range(1 + self.settings.guard.new_seeds):
            try:
                take = self._once(text, voice, speed, self.settings.seed + number, heard)
            except EngineError as error:
                if error.code not in FALLING_BACK or (self.fallback is None and best is None):
                    raise
                why = error.code if best is None else why
                break
            doubt = self.guard.doubt(text, take.audio, take.rate, self.pace.usual(self._spoken(text)) / speed)
            if doubt.why is None:
                return take
            self.work.count("takes_doubted")
            if doubt.badness < least:
                best, least, why = take, doubt.badness, doubt.why
        if self.fallback is not None:
            self.work.count("lines_by_fallback")
            spoken = self._once(text, self.fallback.voice(gender), speed, self.settings.seed, None, self.fallback)
            return spoken._replace(note=f"fallback: {why}")
        assert best is not None
        self.work.count("takes_kept_in_doubt")
        return best._replace(note=f"doubtful: {why}", believed=False)

    def _once(
        self,
        text: str,
        voice: str,
        speed: float,
        seed: int,
        reference: np.ndarray | None,
        other: Fallback | None = None,
    ) -> Take:
        engine = other.synthesizer if other else self.synthesizer
        spoken = self._spoken(text)
        key = {
            "text": spoken,
            "language": self.language,
            "voice": voice,
            "speed": speed,
            "seed": seed,
            "reference": None if reference is None else hashlib.sha256(reference.tobytes()).hexdigest(),
        }
        if other:
            key["engine"] = other.name
        request = SpeechRequest(spoken, self.language, voice, speed, seed, reference)
        path = self.work.cached(key, ".wav", partial(self._synthesise, engine, request))
        audio, rate = sf.read(path, dtype="float32")
        audio = trim(audio, rate)
        if not audio.size:
            raise EngineError("The synthesiser returned silence.", code="engine_failed")
        return Take(text, audio, audio.size / rate, speed, rate, f"{other.name}:{voice}" if other else voice)

    def _synthesise(self, engine: Any, request: SpeechRequest, path: Path) -> None:
        audio = self._ahead.take(request) if engine is self.synthesizer else None
        if audio is None:
            audio = engine.synthesize(request)
        # 32-bit float: a synthesiser may go past full scale, and the gain comes later.
        sf.write(path, audio, engine.sample_rate, format="WAV", subtype="FLOAT")

    def _fit(self, take: Take, source: float, slot: float, attempts: int, reference: np.ndarray) -> Voiced:
        audio, rate = take.audio, take.rate
        if self.converter is not None:
            target = self.converter.sample_rate
            try:
                converted = self.converter.convert(
                    resample(audio, rate, target), resample(reference, SPEECH_RATE, target)
                )
            except EngineError as error:
                if error.code != "no_reference":
                    raise
                self.work.count("lines_not_converted")
                take = take._replace(note=take.note or "not_converted: no_reference")
            else:
                audio, rate = converted, target
        placement = place(take.seconds, source, slot, take.speed, self.settings.fit)
        audio = stretch(resample(audio, rate, SAMPLE_RATE), round(placement.length * SAMPLE_RATE))
        room = int(slot * SAMPLE_RATE)
        if audio.size > room:
            audio = fade(audio[:room], min(OVERFLOW_FADE_SECONDS, slot / 4))
        return Voiced(audio, take, placement, attempts)
