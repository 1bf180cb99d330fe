"""One line from text to speech of the right length: choose the wording, synthesise, listen to the length, try again.

A line whose original pauses is spoken in phrases, each in its own stretch of the original's speech.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from services.dubbing.post_processing import add, trim
from services.dubbing.synthesis.batching import FAULTS, SynthesisAhead
from services.dubbing.synthesis.duration_fitting import (
    FIXED_SECONDS,
    RANK_COST,
    Placement,
    SpeakingPace,
    choose,
    exact_speed,
    first_speed,
    misfit,
    next_speed,
    place,
)
from services.dubbing.synthesis.islands import Island
from services.dubbing.synthesis.melody import Contour
from services.dubbing.synthesis.phrasing import Phrasing, align_phrases, with_pause
from services.dubbing.synthesis.speech_check import Fallback, Guard
from shared.audio.signal import SPEECH_RATE, fade, resample
from shared.audio.stretch import stretch
from shared.core.errors import EngineError
from shared.core.records import SAMPLE_RATE, Hypothesis
from shared.core.spoken_form import read_aloud
from shared.core.text import alphanumerics
from shared.engines.protocols import SpeechRequest
from shared.pipeline.stage import Work
from shared.settings.models import DubbingSettings

OVERFLOW_FADE_SECONDS = 0.05
PHRASE_FADE_SECONDS = 0.01
FALLING_BACK = frozenset({"no_reference", "engine_failed", "out_of_memory"})
"""Errors of an engine with a fallback after which that speaks the line: another take would end the same."""


class Take(NamedTuple):
    """One synthesis of one phrase."""

    text: str
    """As the engine was given it."""
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


@dataclass(frozen=True)
class SpokenLine:
    """What is to be said by whom, and the room there is."""

    hypotheses: tuple[Hypothesis, ...]
    voice: str
    islands: tuple[Island, ...]
    """Where the original speaks; the first begins at 0."""
    reference: np.ndarray | None = field(default=None, compare=False)
    """Mono 16 kHz speech of the original speaker, for engines that clone or convert."""
    gender: str | None = None
    """Of the voice that stands in where this one fails."""
    contour: Contour | None = field(default=None, compare=False)
    """The original's melody, for engines that can follow one."""

    @property
    def key(self) -> tuple[object, ...]:
        return (*(option.text for option in self.hypotheses), self.voice, self.islands)


@dataclass(frozen=True)
class Reading:
    """A wording as it is going to be said."""

    text: str
    """As it is written."""
    phrasing: Phrasing
    """Of the text as it is read aloud."""
    speeds: tuple[float, ...]
    """Native speed of each phrase."""
    melodies: tuple[tuple[float, ...], ...]
    """Of each phrase; empty where the engine follows none."""


class Voiced(NamedTuple):
    """Speech of a line at 48 kHz, fitted to its slot."""

    audio: np.ndarray
    text: str
    takes: tuple[Take, ...]
    """Of each phrase."""
    placements: tuple[Placement, ...]
    attempts: int


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
        self._first: dict[tuple[object, ...], tuple[int, Reading]] = {}
        self._ahead = SynthesisAhead(self.synthesizer, [])

    @property
    def needs_reference(self) -> bool:
        return self.converter is not None or getattr(self.synthesizer, "clones", False)

    @property
    def foreknowing(self) -> bool:
        """Whether the engine tells how long its speech will be: nothing needs to be tried then."""
        return hasattr(self.synthesizer, "natural_seconds")

    def announce(self, lines: Sequence[SpokenLine]) -> None:
        """Tell which lines will be spoken, in order: an engine that can speaks their first takes in batches.

        What is said first is decided here for all of them, before the pace of a voice is known from real speech.
        """
        requests = []
        for line in lines:
            try:
                index, reading = self._choice(line)
            except FAULTS:
                continue  # It will fail by itself, when it is spoken, and alone.
            self._first[line.key] = index, reading
            requests += self._requests(line, reading)
        self._ahead = SynthesisAhead(self.synthesizer, requests)

    def _spoken(self, text: str) -> str:
        """What the engine is given: whatever is written short is written out."""
        return read_aloud(text, self.language)

    def _choice(self, line: SpokenLine) -> tuple[int, Reading]:
        """Index of the wording to say, and how."""
        announced = self._first.pop(line.key, None)
        if announced is not None:
            return announced
        phrasings = [self._phrasing(self._spoken(option.text), line) for option in line.hypotheses]
        index = choose([phrasing.cost for phrasing in phrasings])
        if np.isinf(phrasings[index].cost):
            raise EngineError("The text has nothing that can be spoken.", code="nothing_to_speak")
        return index, self._paced(line.hypotheses[index].text, phrasings[index], line)

    def _phrasing(self, text: str, line: SpokenLine) -> Phrasing:
        """A text as it is read aloud, divided among the islands of its line; without a sound it costs all there is."""
        if not alphanumerics(text):
            return Phrasing((), float("inf"))
        if not self.foreknowing:
            return align_phrases(
                text, line.islands, lambda part: self.pace.seconds(part, line.voice), self.settings.fit
            )
        (whole,) = self.synthesizer.natural_seconds([SpeechRequest(text, self.language, line.voice)])
        rate = max(len(text.strip()), 1) / max(whole - FIXED_SECONDS, 0.1)
        return align_phrases(
            text,
            line.islands,
            lambda part: whole if part == text else FIXED_SECONDS + len(part) / rate,
            self.settings.fit,
        )

    def _paced(self, written: str, phrasing: Phrasing, line: SpokenLine) -> Reading:
        """A wording with the native speed of each of its phrases."""
        last = len(phrasing.phrases) - 1
        phrases = tuple(
            phrase._replace(text=with_pause(phrase.text) if number < last else phrase.text)
            for number, phrase in enumerate(phrasing.phrases)
        )
        native, fit = self.synthesizer.native_speed, self.settings.fit
        if self.foreknowing:
            requests = [SpeechRequest(phrase.text, self.language, line.voice) for phrase in phrases]
            lengths = self.synthesizer.natural_seconds(requests)
            speeds = [
                exact_speed(seconds, phrase.island.source, phrase.island.slot, native, fit)
                for seconds, phrase in zip(lengths, phrases, strict=True)
            ]
        else:
            lengths = [self.pace.seconds(phrase.text, line.voice) for phrase in phrases]
            speeds = [
                first_speed(seconds, phrase.island.source, native)
                for seconds, phrase in zip(lengths, phrases, strict=True)
            ]
        melodies = [
            line.contour.melody(phrase.island.start, seconds / speed) if line.contour and self.foreknowing else ()
            for phrase, seconds, speed in zip(phrases, lengths, speeds, strict=True)
        ]
        return Reading(written, phrasing._replace(phrases=phrases), tuple(speeds), tuple(melodies))

    def _requests(self, line: SpokenLine, reading: Reading) -> list[SpeechRequest]:
        clones = getattr(self.synthesizer, "clones", False)
        return [
            SpeechRequest(
                phrase.text,
                self.language,
                line.voice,
                speed,
                self.settings.seed,
                line.reference if clones else None,
                melody,
            )
            for phrase, speed, melody in zip(reading.phrasing.phrases, reading.speeds, reading.melodies, strict=True)
        ]

    def speak(self, line: SpokenLine) -> Voiced:
        """The best-fitting wording, spoken when the original speaks where that sounds natural, never beyond its slot.

        Raises:
            EngineError: When nothing could be synthesised.
        """
        fit = self.settings.fit
        left = list(line.hypotheses)
        best: tuple[float, Reading, tuple[Take, ...]] | None = None
        attempts = 0
        reading: Reading | None = None
        while attempts <= fit.max_retries:
            if reading is None:
                index, reading = self._choice(replace(line, hypotheses=tuple(left)))
                left.pop(index)
            takes = self._takes(line, reading)
            attempts += 1
            for phrase, take in zip(reading.phrasing.phrases, takes, strict=True):
                # What another voice took, or a take that cannot be believed, says nothing about this one.
                if take.believed:
                    self.pace.learn(phrase.text, take.voice, take.seconds, take.speed)
            cost = self._cost(reading, takes)
            if best is None or cost < best[0]:
                best = cost, reading, takes
            if self._other_wording_needed(reading, takes, line, left):
                reading = None
                continue
            again = self._again(reading, takes)
            if again is None:
                break
            reading = again
        if best is None:
            raise EngineError("Nothing was synthesised.", code="nothing_to_speak")
        self.work.count("retries", attempts - 1)
        return self._fit(best[1], best[2], attempts, line)

    def _again(self, reading: Reading, takes: Sequence[Take]) -> Reading | None:
        """The same wording at better native speeds; None when it is good enough."""
        wanted = [
            next_speed(
                take.speed,
                take.seconds,
                phrase.island.source,
                phrase.island.slot,
                native=self.synthesizer.native_speed,
                fit=self.settings.fit,
            )
            for phrase, take in zip(reading.phrasing.phrases, takes, strict=True)
        ]
        if not any(wanted):
            return None
        speeds = tuple(speed or take.speed for speed, take in zip(wanted, takes, strict=True))
        return replace(reading, speeds=speeds)

    def _other_wording_needed(
        self, reading: Reading, takes: Sequence[Take], line: SpokenLine, left: Sequence[Hypothesis]
    ) -> bool:
        """Whether another wording, as predicted, fits clearly better than this one as heard, both said briskly."""
        if self.foreknowing or not left:
            return False
        brisk = self.settings.fit.accept_high

        def predicted(part: str) -> float:
            return self.pace.seconds(part, line.voice) / brisk

        heard = weighted(
            reading,
            [
                misfit(take.seconds * take.speed / brisk, phrase.island.source, phrase.island.slot, self.settings.fit)
                for phrase, take in zip(reading.phrasing.phrases, takes, strict=True)
            ],
        )
        others = (
            align_phrases(self._spoken(option.text), line.islands, predicted, self.settings.fit).cost for option in left
        )
        return min(others) + RANK_COST < heard

    def _cost(self, reading: Reading, takes: Sequence[Take]) -> float:
        """Distance from lengths that need no audible stretch; hurry counts a little by itself."""
        return weighted(
            reading,
            [
                misfit(take.seconds, phrase.island.source, phrase.island.slot, self.settings.fit)
                + 0.1 * float(abs(np.log(take.speed)))
                for phrase, take in zip(reading.phrasing.phrases, takes, strict=True)
            ],
        )

    def _takes(self, line: SpokenLine, reading: Reading) -> tuple[Take, ...]:
        """A take of each phrase; in one breath where the engine can."""
        requests = self._requests(line, reading)
        if self.guard is None and hasattr(self.synthesizer, "synthesize_phrases"):
            return self._once(requests)
        return tuple(self._take(request, line.gender) for request in requests)

    def _take(self, request: SpeechRequest, gender: str | None) -> Take:
        """A take that can be believed; else what stands in for it, with a note."""
        if self.guard is None:
            return self._once([request])[0]
        best: Take | None = None
        least = float("inf")
        why = "no_reference"
        for number in range(1 + self.settings.guard.new_seeds):
            try:
                (take,) = self._once([replace(request, seed=request.seed + number)])
            except EngineError as error:
                if error.code not in FALLING_BACK or (self.fallback is None and best is None):
                    raise
                why = error.code if best is None else why
                break
            doubt = self.guard.doubt(request.text, take.audio, take.rate, self.pace.usual(request.text) / request.speed)
            if doubt.why is None:
                return take
            self.work.count("takes_doubted")
            if doubt.badness < least:
                best, least, why = take, doubt.badness, doubt.why
        if self.fallback is not None:
            self.work.count("lines_by_fallback")
            stand_in = replace(request, voice=self.fallback.voice(gender), reference=None)
            return self._once([stand_in], self.fallback)[0]._replace(note=f"fallback: {why}")
        assert best is not None
        self.work.count("takes_kept_in_doubt")
        return best._replace(note=f"doubtful: {why}", believed=False)

    def _once(self, requests: Sequence[SpeechRequest], other: Fallback | None = None) -> tuple[Take, ...]:
        """Each phrase as the engine speaks it, made once."""
        engine = other.synthesizer if other else self.synthesizer
        reference = requests[0].reference
        key = {
            "phrases": [(request.text, request.speed, request.melody) for request in requests],
            "language": self.language,
            "voice": requests[0].voice,
            "seed": requests[0].seed,
            "reference": None if reference is None else hashlib.sha256(reference.tobytes()).hexdigest(),
        }
        if other:
            key["engine"] = other.name
        path = self.work.cached(key, ".npz", partial(self._synthesise, engine, requests))
        with np.load(path, allow_pickle=False) as stored:
            sounds = [trim(stored[name], engine.sample_rate) for name in stored.files]
        if not all(sound.size for sound in sounds):
            raise EngineError("The synthesiser returned silence.", code="engine_failed")
        rate = int(engine.sample_rate)
        return tuple(
            Take(
                request.text,
                sound,
                sound.size / rate,
                request.speed,
                rate,
                f"{other.name}:{request.voice}" if other else request.voice,
            )
            for request, sound in zip(requests, sounds, strict=True)
        )

    def _synthesise(self, engine: Any, requests: Sequence[SpeechRequest], path: Path) -> None:
        """Write the speech of every phrase, in order; 32-bit float, for a synthesiser may go past full scale."""
        if len(requests) > 1:
            sounds = engine.synthesize_phrases(requests)
        else:
            ahead = self._ahead.take(requests[0]) if engine is self.synthesizer else None
            sounds = [engine.synthesize(requests[0]) if ahead is None else ahead]
        with path.open("wb") as out:
            np.savez(out, *(np.asarray(sound, np.float32) for sound in sounds))

    def _fit(self, reading: Reading, takes: Sequence[Take], attempts: int, line: SpokenLine) -> Voiced:
        """Every phrase stretched as far as it must be, in its place."""
        fitted = [
            self._fit_phrase(take, phrase.island, line.reference)
            for phrase, take in zip(reading.phrasing.phrases, takes, strict=True)
        ]
        several = len(fitted) > 1
        places = [round(phrase.island.start * SAMPLE_RATE) for phrase in reading.phrasing.phrases]
        whole = np.zeros(
            (1, max(start + audio.size for start, (audio, _, _) in zip(places, fitted, strict=True))), np.float32
        )
        for start, (audio, _, _) in zip(places, fitted, strict=True):
            add(whole, (fade(audio, PHRASE_FADE_SECONDS) if several else audio)[None], start)
        return Voiced(
            whole[0],
            reading.text,
            tuple(take for _, take, _ in fitted),
            tuple(placement for _, _, placement in fitted),
            attempts,
        )

    def _fit_phrase(
        self, take: Take, island: Island, reference: np.ndarray | None
    ) -> tuple[np.ndarray, Take, Placement]:
        audio, rate = take.audio, take.rate
        if self.converter is not None:
            target = self.converter.sample_rate
            known = np.zeros(0, np.float32) if reference is None else resample(reference, SPEECH_RATE, target)
            try:
                converted = self.converter.convert(resample(audio, rate, target), known)
            except EngineError as error:
                if error.code != "no_reference":
                    raise
                self.work.count("lines_not_converted")
                take = take._replace(note=take.note or "not_converted: no_reference")
            else:
                audio, rate = converted, target
        placement = place(take.seconds, island.source, island.slot, take.speed, self.settings.fit)
        audio = stretch(resample(audio, rate, SAMPLE_RATE), round(placement.length * SAMPLE_RATE))
        room = int(island.slot * SAMPLE_RATE)
        if audio.size > room:
            audio = fade(audio[:room], min(OVERFLOW_FADE_SECONDS, island.slot / 4))
        return audio, take, placement


def weighted(reading: Reading, costs: Sequence[float]) -> float:
    """Mean of what the phrases cost, by the length of their islands."""
    weights = [phrase.island.source for phrase in reading.phrasing.phrases]
    return float(np.average(costs, weights=weights))
