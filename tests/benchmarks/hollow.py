"""A run whose engines are empty shells: ``python -m tests.benchmarks.hollow VIDEO OUT`` prints its peak memory.

Everything but the engines is real, so what grows with a title's length shows. Shells speak and hear about as much as
real engines do: a line of some words every five seconds.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

import shared.engines.protocols
from shared.audio.signal import SPEECH_RATE
from shared.core.records import Hypothesis, Span, Word
from shared.engines.protocols import EngineOptions, Licence, Line, Segment, SpeechRequest, Voice, WeightFiles

LINE_SECONDS, WORD_SECONDS, WORDS = 5.0, 0.4, 8
SETTINGS = (
    "pairing.export_mp4=false",
    "pairing.min_shot_seconds=7.5",
    "pairing.aac_bitrate=64000",
    "ingest.detector=adaptive",
)
"""One container instead of two and a part of the shots: the same code, less often. And no network that finds shots: its
memory, the same for every length, would hide what grows.
"""


class Shell:
    name: ClassVar[str] = "hollow"
    licence: ClassVar[Licence] = Licence("none")

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ()

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        pass


class Detector(Shell):
    def speech(self, audio: np.ndarray) -> list[Span]:
        """Somebody speaks for 3.2 s of every 5 s."""
        duration = len(audio) / SPEECH_RATE
        starts = np.arange(0.0, max(duration - LINE_SECONDS, 0.0), LINE_SECONDS)
        return [Span(start=start, end=start + WORDS * WORD_SECONDS) for start in starts.tolist()]


class Separator(Shell):
    def vocals(self, mix: np.ndarray) -> np.ndarray:
        return mix * np.float32(0.5)


class Recognizer(Shell):
    def language(self, audio: np.ndarray) -> dict[str, float]:
        return {"en": 0.5, "es": 0.5}

    def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
        texts = ["I", "have", "seen", "the", "old", "sea", "again", "today."]
        found = []
        for start in np.arange(0.2, len(audio) / SPEECH_RATE - LINE_SECONDS, LINE_SECONDS).tolist():
            times = [(start + number * WORD_SECONDS, start + (number + 0.9) * WORD_SECONDS) for number in range(WORDS)]
            words = [Word(start=a, end=b, text=f" {text}") for (a, b), text in zip(times, texts, strict=True)]
            found.append(Segment(" ".join(texts), words, -0.2, 0.0))
        return found


class Embedder(Shell):
    size: ClassVar[int] = 256

    def embed(self, audio: np.ndarray) -> np.ndarray:
        """One of two voices, and a little of chance that depends on the sound alone."""
        seed = hashlib.sha256(np.ascontiguousarray(audio, np.float32).tobytes()).digest()[0]
        vector = np.random.default_rng(seed).random(self.size) * 0.2
        vector[seed % 2 :: 2] += 1.0
        return (vector / np.linalg.norm(vector)).astype(np.float32)


class Translator(Shell):
    def languages(self) -> None:
        return None

    def translate(
        self, lines: list[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        return [[Hypothesis(text="Hoy he visto otra vez el viejo mar.", score=-0.1)] for _ in lines]


class Synthesizer(Shell):
    sample_rate = 24_000
    native_speed: ClassVar[tuple[float, float]] = (0.8, 1.3)

    def voices(self, language: str) -> list[Voice]:
        return [Voice("anna", language, "female"), Voice("tom", language, "male")]

    def synthesize(self, request: SpeechRequest) -> np.ndarray:
        time = np.arange(int(self.sample_rate * len(request.text) / 15 / request.speed)) / self.sample_rate
        return (0.1 * np.sin(2 * np.pi * (200 + 50 * np.sin(3 * time)) * time)).astype(np.float32)


SHELLS: Mapping[str, type[Shell]] = {
    "voice_detector": Detector,
    "separator": Separator,
    "recognizer": Recognizer,
    "embedder": Embedder,
    "translator": Translator,
    "synthesizer": Synthesizer,
}


class Point(NamedTuple):
    """Stands for an entry point."""

    load: Callable[[], Any]


def empty_engines() -> None:
    """Put a shell behind every name of every kind but the shot detectors, which are the algorithm itself."""
    real = shared.engines.protocols.registered

    def registered(kind: str) -> dict[str, Any]:
        if kind not in SHELLS:
            return real(kind)
        return {name: Point(lambda: SHELLS[kind]) for name in real(kind)}

    shared.engines.protocols.registered = registered  # type: ignore[assignment]


def main(video: str, out: str) -> None:
    from shared.pipeline import folder_commands
    from shared.pipeline.events import RunEvent
    from shared.pipeline.run import RunOptions
    from shared.settings.models import load_settings

    raised: dict[str, int] = {}

    def watch(event: RunEvent) -> None:
        if event.kind == "task_done":
            before = sum(raised.values())
            raised[str(event.stage)] = raised.get(str(event.stage), 0) + peak() - before

    empty_engines()
    summary = folder_commands.dub(
        [video], ["es"], Path(out), load_settings(overrides=SETTINGS), options=RunOptions(listener=watch)
    )
    stages = json.loads((Path(out) / Path(video).stem / "title.json").read_text(encoding="utf-8"))["timings"]
    print(json.dumps({**summary.to_dict(), "peak_kilobytes": peak(), "raised_by": raised, "stages": stages}))


def peak() -> int:
    """Highest resident memory so far, kilobytes, of the run or of one of its decoding children if that is higher."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


if __name__ == "__main__":
    main(*sys.argv[1:])
