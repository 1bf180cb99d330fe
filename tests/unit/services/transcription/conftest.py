"""A minimal executor and stand-in engines for stages of the transcription service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile as sf

from shared.audio.signal import SPEECH_RATE, resample
from shared.core.records import Chunk, Span, Word
from shared.engines.protocols import Segment


class FakeWork:
    """What a stage may use of the executor, in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[str, float] = {}
        self.made = 0
        self.shares: list[float] = []

    def path(self, name: str) -> Path:
        return self.folder / name

    def progress(self, share: float) -> None:
        self.shares.append(share)

    def count(self, name: str, amount: float = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def cached(self, key: Mapping[str, Any], suffix: str, make: Callable[[Path], None]) -> Path:
        name = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
        path = self.folder / f"{name}{suffix}"
        if not path.exists():
            self.made += 1
            make(path)
        return path


class LevelVad:
    """Speech is where 50 ms are louder than −40 dBFS."""

    def speech(self, audio: np.ndarray) -> list[Span]:
        size = SPEECH_RATE // 20
        count = len(audio) // size
        loud = np.sqrt(np.square(audio[: count * size].reshape(count, size)).mean(axis=1)) > 0.01
        edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int)))
        return [Span(start=a / 20, end=b / 20) for a, b in edges.reshape(-1, 2)]


class PitchEmbedder:
    """Voices differ by their strongest frequency: one-hot by octave."""

    size: ClassVar[int] = 8

    def embed(self, audio: np.ndarray) -> np.ndarray:
        spectrum = np.abs(np.fft.rfft(audio, SPEECH_RATE))
        vector = np.zeros(self.size, dtype=np.float32)
        vector[min(7, int(np.log2(max(1, int(spectrum.argmax())) / 50)))] = 1
        return vector


class ScriptedRecognizer:
    """Hears the same words in every window that is not silent, spread over it; counts how often it is asked."""

    def __init__(self, text: str = "hello there my friend", logprob: float = -0.2, language: str = "en") -> None:
        self.text, self.logprob, self.spoken = text, logprob, language
        self.calls = 0

    def language(self, audio: np.ndarray) -> dict[str, float]:
        return {self.spoken: 0.9, "la": 0.1}

    def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
        self.calls += 1
        loud = np.flatnonzero(np.abs(audio) > 0.01)
        if not loud.size:
            return []
        parts = self.text.split()
        times = np.linspace(loud[0], loud[-1], len(parts) + 1) / SPEECH_RATE
        words = [
            Word(start=times[i], end=times[i + 1], text=f" {part}", probability=0.9) for i, part in enumerate(parts)
        ]
        return [Segment(self.text, words, self.logprob, 0.1)]


@pytest.fixture
def work(tmp_path: Path) -> FakeWork:
    folder = tmp_path / "work"
    folder.mkdir()
    return FakeWork(folder)


@pytest.fixture
def engines() -> dict[str, Any]:
    return {"recognizer": ScriptedRecognizer(), "embedder": PitchEmbedder(), "vad": LevelVad()}


def tone(seconds: float, hz: float = 200.0, rate: int = 48_000, level: float = 0.2) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def quiet(seconds: float, rate: int = 48_000) -> np.ndarray:
    return np.zeros(round(seconds * rate), dtype=np.float32)


@pytest.fixture
def chunk_inputs(tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """Input files of one chunk from 48 kHz mono sound that starts ``before`` seconds into the title."""

    def build(audio: np.ndarray, before: float = 0.0, language: str | None = "en") -> dict[str, Path]:
        lead = round(before * 48_000)
        master = np.concatenate([np.zeros(lead, dtype=np.float32), audio])
        sf.write(tmp_path / "master.flac", master, 48_000, subtype="PCM_24")
        sf.write(tmp_path / "vocals.flac", audio, 48_000, subtype="PCM_24")
        chunks = [Chunk(index=0, start=lead, end=len(master))]
        if lead:
            chunks = [Chunk(index=0, start=0, end=lead), Chunk(index=1, start=lead, end=len(master))]
        spans = LevelVad().speech(resample(master, 48_000, SPEECH_RATE))
        for name, value in (
            ("chunks.json", [chunk.model_dump() for chunk in chunks]),
            ("speech.json", [span.model_dump() for span in spans]),
            ("language.json", {"language": language, "confidence": 1.0, "votes": {}}),
        ):
            (tmp_path / name).write_text(json.dumps(value))
        names = ("master.flac", "vocals.flac", "chunks.json", "speech.json", "language.json")
        return {name: tmp_path / name for name in names}

    return build
