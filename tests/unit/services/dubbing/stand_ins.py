"""Stand-ins for the executor's side of a stage, and a title's files made by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

from shared.audio import files
from shared.core.records import (
    SAMPLE_RATE,
    CastMember,
    Chunk,
    Hypothesis,
    Shot,
    Speaker,
    Translation,
    Utterance,
    write_jsonl,
    write_list,
)
from shared.engines.protocols import Audio, SpeechRequest, Voice


class FolderWork:
    """A :class:`shared.pipeline.stage.Work` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counters: dict[str, float] = {}

    def path(self, name: str) -> Path:
        return self.folder / f"out-{name}"

    def progress(self, share: float) -> None:
        assert 0 <= share <= 1

    def count(self, name: str, amount: float = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + amount

    def cached(self, key: Mapping[str, Any], suffix: str, make: Callable[[Path], None]) -> Path:
        name = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:16]
        path = self.folder / f"{name}{suffix}"
        if not path.exists():
            make(path)
            self.count("made")
        return path


class Hummer:
    """A synthesiser that hums 0.1 s a character, and fails or falls silent when asked to."""

    name = "hummer"
    sample_rate = 24_000
    native_speed = (0.8, 1.3)

    def __init__(self, seconds_per_character: float = 0.1) -> None:
        self.seconds_per_character = seconds_per_character
        self.calls: list[tuple[str, float]] = []

    def voices(self, language: str) -> list[Voice]:
        if language == "xx":
            return []
        return [Voice("ann", "es", "female"), Voice("bob", "es", "male"), Voice("carl", "en", "male")]

    def synthesize(self, request: SpeechRequest) -> Audio:
        text, speed = request.text, request.speed
        self.calls.append((text, speed))
        if "boom" in text:
            raise RuntimeError("the model broke")
        count = int(len(text) * self.seconds_per_character / speed * self.sample_rate)
        time = np.arange(count) / self.sample_rate
        hum = 0.0 if "hush" in text else 0.1 * np.sin(2 * np.pi * 150 * time) * (1 + 0.5 * np.sin(2 * np.pi * 4 * time))
        silence = np.zeros(self.sample_rate // 5)
        return np.concatenate([silence, hum + np.zeros(count), silence]).astype(np.float32)


def babble(seconds: float, seed: int = 0, channels: int = 1) -> np.ndarray:
    """Noise with the slope and rhythm of speech, ``[channels, samples]`` at 48 kHz."""
    count = int(seconds * SAMPLE_RATE)
    noise = lfilter([0.3], [1.0, -0.9], np.random.default_rng(seed).standard_normal(count))
    rhythm = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * np.arange(count) / SAMPLE_RATE)
    return np.tile((0.1 * noise * rhythm).astype(np.float32), (channels, 1))


def utterance(number: int, start: float, end: float, text: str = "Hello there.", **values: Any) -> Utterance:
    return Utterance(**{"id": f"u{number:04}", "start": start, "end": end, "language": "en", "text": text, **values})


def title(
    folder: Path,
    utterances: Sequence[Utterance],
    texts: Mapping[str, Sequence[str]],
    *,
    seconds: float = 10.0,
    channels: int = 1,
    shots: Sequence[Shot] = (),
    edited: bool = False,
    vocals: np.ndarray | None = None,
    voice: str = "bob",
) -> dict[str, Path]:
    """The input files of the stages ``dubbing`` and ``control``: one chunk, speech where the utterances are."""
    count = int(seconds * SAMPLE_RATE)
    if vocals is None:
        vocals = np.zeros((channels, count), np.float32)
        for line in utterances:
            part = babble(line.end - line.start, channels=channels)
            first = round(line.start * SAMPLE_RATE)
            vocals[:, first : first + part.shape[1]] = part[:, : count - first]
    translations = [
        Translation(
            utterance=name,
            hypotheses=[Hypothesis(text=text, score=-float(rank)) for rank, text in enumerate(options)],
            edited=edited,
        )
        for name, options in texts.items()
    ]
    people = sorted({line.speaker for line in utterances})
    members = [CastMember(speaker=one, language="es", voice=voice, gender="male", native=True) for one in people]
    return {
        "vocals.flac": files.write(folder / "vocals.flac", vocals),
        "utterances.jsonl": write_jsonl(folder / "utterances.jsonl", utterances),
        "translations.jsonl": write_jsonl(folder / "translations.jsonl", translations),
        "chunks.json": write_list(folder / "chunks.json", [Chunk(index=0, start=0, end=count)]),
        "shots.json": write_list(folder / "shots.json", shots or [Shot(index=0, start=0, end=seconds)]),
        "cast.json": write_list(folder / "cast.json", members),
        "speakers.json": write_list(
            folder / "speakers.json", [Speaker(id=one, embedding=[1.0], seconds=1.0) for one in people]
        ),
    }
