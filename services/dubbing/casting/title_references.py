"""What engines that clone are shown of every speaker, picked from the whole title once for all languages and chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.dubbing.casting.reference_selection import pick
from shared.audio import files
from shared.audio.signal import SPEECH_RATE, resample, to_mono
from shared.core.records import SAMPLE_RATE, Chunk, Speaker, Utterance, read_jsonl, read_list
from shared.pipeline.stage import Scope, Work
from shared.settings.models import DubbingSettings

FILE = "references.npz"


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: DubbingSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``utterances.jsonl``, ``speakers.json``, ``chunks.json``, ``vocals/NNNN`` → ``references.npz``.

    It holds a mono 16 kHz array for each speaker, empty where nothing can be heard of them.
    """
    vocals = Vocals(read_list(inputs["chunks.json"], Chunk), inputs)
    lines = read_jsonl(inputs["utterances.jsonl"], Utterance)
    speakers = read_list(inputs["speakers.json"], Speaker)
    # Only the embeddings of the recogniser's own kind can be compared with the speakers'.
    embed = engines["embedder"].embed if settings.embedder == "resemblyzer" else None
    references = {}
    for number, speaker in enumerate(speakers):
        work.progress(number / len(speakers))
        own = [line for line in lines if line.speaker == speaker.id]
        references[speaker.id] = pick(own, vocals.cut, speaker.embedding, embed)
        work.count("speakers_without_reference", not references[speaker.id].size)
    path = work.path(FILE)
    with path.open("wb") as out:
        np.savez(out, **references)  # type: ignore[arg-type]  # speakers are S1, S2 …: none is an argument of savez
    return {FILE: path}


def read_references(path: Path) -> dict[str, np.ndarray]:
    """Speaker → reference."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class Vocals:
    """The vocals of a title in the files of its chunks; of them, only what is asked for is read."""

    def __init__(self, chunks: Sequence[Chunk], inputs: Mapping[str, Path]) -> None:
        self._chunks = [(chunk, inputs[f"vocals/{chunk.index:04}"]) for chunk in chunks]

    def cut(self, line: Utterance) -> np.ndarray:
        """A line's sound, mono 16 kHz."""
        return resample(self.cut_mono(line), SAMPLE_RATE, SPEECH_RATE)

    def cut_mono(self, line: Utterance) -> np.ndarray:
        """A line's sound, mono 48 kHz. Chunks end where nobody speaks, so a line ends in the one it starts in."""
        start, end = round(line.start * SAMPLE_RATE), round(line.end * SAMPLE_RATE)
        for chunk, path in self._chunks:
            if chunk.start <= start < chunk.end:
                return to_mono(files.read_audio(path, start - chunk.start, min(end, chunk.end) - chunk.start))
        return np.zeros(0, np.float32)
