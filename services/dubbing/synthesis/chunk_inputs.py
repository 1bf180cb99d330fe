"""What both the dub and the control need of a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from shared.audio import files
from shared.audio.loudness import speech_loudness
from shared.core.records import SAMPLE_RATE, Chunk, Utterance, read_jsonl, read_list
from shared.pipeline.stage import Scope


@dataclass
class ChunkLines:
    """A chunk's vocals and the lines that start in it."""

    chunk: Chunk
    vocals: np.ndarray
    """``[channels, samples]``, exactly the chunk."""
    everyone: list[Utterance]
    """All lines of the title by start: a slot depends on the next line, whatever its chunk."""

    @property
    def end(self) -> float:
        return self.chunk.end / SAMPLE_RATE

    @cached_property
    def lines(self) -> list[Utterance]:
        """Lines that start in this chunk."""
        return [line for line in self.everyone if self.chunk.start <= round(line.start * SAMPLE_RATE) < self.chunk.end]

    def sample(self, time: float) -> int:
        """Index into the chunk of a time of the title."""
        return round(time * SAMPLE_RATE) - self.chunk.start

    def cut(self, start: float, end: float) -> np.ndarray:
        """The vocals between two times of the title, clipped to the chunk."""
        first, last = max(self.sample(start), 0), min(self.sample(end), self.vocals.shape[1])
        return self.vocals[:, first : max(first, last)]

    @cached_property
    def _loudness(self) -> float | None:
        levels = [speech_loudness(self.cut(line.start, line.end)) for line in self.lines if line.status == "ok"]
        heard = [level for level in levels if level is not None]
        return float(np.median(heard)) if heard else None

    def median_loudness(self) -> float | None:
        """Of the chunk's lines, LUFS: what to aim at where the vocals hold nothing."""
        return self._loudness


def load(scope: Scope, inputs: Mapping[str, Path]) -> ChunkLines:
    chunks = read_list(inputs["chunks.json"], Chunk)
    chunk = next(one for one in chunks if one.index == scope.chunk)
    everyone = sorted(read_jsonl(inputs["utterances.jsonl"], Utterance), key=lambda line: (line.start, line.end))
    return ChunkLines(chunk, files.read_audio(inputs["vocals.flac"]), everyone)
