"""The engines' side of every stage: what a model must offer, and how one is found by name.

A stage never imports a model. It asks for an engine of a *kind* by its name; entry points in the group
``counterdub.<kind>`` name the class. To add one: write one file with a class that satisfies the Protocol below, and
register it in the package's entry points. Heavy imports belong inside ``__init__`` of the engine.

Audio is float32 numpy, nominally in [-1, 1]. Multi-channel audio is ``[channels, samples]``, mono is ``[samples]``.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from shared.core.entry_points import group
from shared.core.errors import EngineError, UsageError
from shared.core.records import Hypothesis, Span, Word

Audio = np.ndarray
"""float32 samples, ``[samples]`` or ``[channels, samples]``."""

KINDS = (
    "shot_detector",
    "voice_detector",
    "separator",
    "recognizer",
    "embedder",
    "translator",
    "synthesizer",
    "voice_converter",
)


@dataclass(frozen=True)
class Licence:
    """Terms of a model's weights, as its publisher states them."""

    name: str
    commercial_use: bool = True
    note: str = ""


@dataclass(frozen=True)
class EngineOptions:
    """What every engine is constructed with; the part of a stage's settings an engine may read."""

    model: str = ""
    device: str = "cpu"
    threads: int = 2
    seed: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """What all kinds share. ``weights`` names entries of the weight registry, given the options."""

    name: ClassVar[str]
    licence: ClassVar[Licence]
    # Where an engine has them, these are read too: ``defaults``, options and what they are where nobody sets them;
    # ``digests(options)``, hashes of weights that are not in the registry; and those of
    # :mod:`shared.engines.requirements`.

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        """Names in the weight registry that this engine loads; known without loading anything."""
        ...


class ShotDetector(Engine, Protocol):
    def cuts(self, video: Path, progress: Callable[[float], None]) -> list[float]:
        """Times of camera changes in seconds on the video stream's own pts clock, increasing, first frame excluded."""
        ...


class VoiceDetector(Engine, Protocol):
    def speech(self, audio: Audio) -> list[Span]:
        """Speech in mono 16 kHz audio, increasing and disjoint, seconds."""
        ...


class Separator(Engine, Protocol):
    def vocals(self, mix: Audio) -> Audio:
        """The speech of a 48 kHz mix; same shape as ``mix``, ``[channels, samples]``, sample-aligned."""
        ...


class Segment(NamedTuple):
    """A stretch of text as the recogniser returned it."""

    text: str
    words: list[Word]
    mean_logprob: float
    no_speech: float


class Recognizer(Engine, Protocol):
    def language(self, audio: Audio) -> dict[str, float]:
        """Probability of each ISO 639-1 language for up to 30 s of mono 16 kHz audio."""
        ...

    def transcribe(self, audio: Audio, language: str | None) -> list[Segment]:
        """Text with word times (seconds from the start of ``audio``, mono 16 kHz)."""
        ...


class Embedder(Engine, Protocol):
    size: ClassVar[int]

    def embed(self, audio: Audio) -> np.ndarray:
        """L2-normalised speaker embedding of mono 16 kHz speech, ``[size]``."""
        ...


class Line(NamedTuple):
    """One line to translate, with what surrounds it."""

    text: str
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    max_chars: int | None = None
    """Aim: about what can be spoken in the slot."""
    terms: Sequence[tuple[str, str]] = ()
    """Glossary for this line: term → the words to use for it."""


class Translator(Engine, Protocol):
    def languages(self) -> set[tuple[str, str]] | None:
        """Pairs (source, target) it can do; None means any."""
        ...

    def translate(
        self, lines: Sequence[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        """Up to ``count`` candidates a line, best first, same order and length as ``lines``."""
        ...


@dataclass(frozen=True)
class Voice:
    id: str
    language: str
    """ISO 639-1 language it was trained on."""
    gender: Literal["female", "male"]


@dataclass(frozen=True)
class SpeechRequest:
    """One text to speak, and how."""

    text: str
    language: str
    voice: str
    speed: float = 1.0
    """Of the model itself; 1 is its natural tempo."""
    seed: int = 0
    """For models that draw their speech."""
    reference: Audio | None = field(default=None, compare=False)
    """For models that clone: mono 16 kHz speech of the person to sound like."""
    melody: tuple[float, ...] = ()
    """For models that can follow one: pitch in semitones from the voice's usual one, evenly over the speech."""


class Synthesizer(Engine, Protocol):
    sample_rate: int
    native_speed: ClassVar[tuple[float, float]]
    """Range of ``speed`` the model itself can speak at."""

    def voices(self, language: str) -> list[Voice]:
        """Voices that can speak ``language``, native ones first; empty when it cannot be spoken."""
        ...

    def synthesize(self, request: SpeechRequest) -> Audio:
        """Mono speech at ``sample_rate``."""
        ...


class VoiceConverter(Engine, Protocol):
    sample_rate: int

    def convert(self, speech: Audio, reference: Audio) -> Audio:
        """``speech`` said by the voice of ``reference``; both mono at ``sample_rate``."""
        ...


def clones(name: str) -> bool:
    """Whether a synthesiser takes the voice from a reference, known without importing it.

    The planner asks, wherever it runs. Entry points in the group ``counterdub.cloning`` say so beside those of
    ``counterdub.synthesizer``.
    """
    return name in registered("cloning")


@lru_cache
def registered(kind: str) -> dict[str, EntryPoint]:
    """Entry points of a kind by name. Nothing is imported."""
    return group(f"counterdub.{kind}")


def engine_class(kind: str, name: str) -> Any:
    """The class behind a name.

    Raises:
        UsageError: ``unknown_engine``, listing the names there are.
        EngineError: ``engine_missing`` when the package it needs is not installed.
    """
    points = registered(kind)
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise UsageError(f"There is no {kind} engine “{name}” (known: {known}).", code="unknown_engine")
    try:
        return points[name].load()
    except ImportError as error:
        raise missing(kind, name, error) from error


def missing(kind: str, name: str, error: ImportError) -> EngineError:
    return EngineError(
        f"The {kind} engine “{name}” needs the package “{error.name}”, which is not installed.",
        code="engine_missing",
        package=error.name,
    )


class Timed:
    """An engine (or function) whose calls are timed into a ledger and, given a lock, made one at a time."""

    def __init__(
        self, target: Any, spent: Callable[[float], None], lock: AbstractContextManager[Any] | None = None
    ) -> None:
        self._target = target
        self._spent = spent
        self._lock = lock or nullcontext()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return Timed(value, self._spent, self._lock) if inspect.isroutine(value) else value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            began = time.perf_counter()
            try:
                return self._target(*args, **kwargs)
            finally:
                self._spent(time.perf_counter() - began)


@runtime_checkable
class WeightFiles(Protocol):
    """Where engines find their verified weight files."""

    def path(self, name: str) -> Path:
        """Folder or file of a registry entry, fetched and verified; raises EngineError ``weights_missing``."""
        ...
