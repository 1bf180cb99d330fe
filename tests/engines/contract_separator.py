"""What every separator must do, whatever is inside: called by the tests of each engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.separation.stage import STAGE, STEMS
from shared.audio.files import read_audio, write
from shared.audio.signal import decibels, rms
from shared.core.errors import Cancelled
from shared.core.records import SAMPLE_RATE, Span, Utterance, write_jsonl
from shared.pipeline.stage import Scope
from shared.settings.models import Settings
from tests.engines.stopping import Stopping
from tests.unit.services.dubbing.stand_ins import FolderWork

SUM_DB = -80.0
"""What the stems' sum may differ from the mix, relative to the mix."""


def noise(channels: int, samples: int, seed: int = 0) -> np.ndarray:
    """Something with a rhythm: ``[channels, samples]`` float32."""
    beat = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * np.arange(samples) / SAMPLE_RATE)
    return (0.05 * beat * np.random.default_rng(seed).standard_normal((channels, samples))).astype(np.float32)


def keeps_the_shape(separator: Any) -> None:
    for channels, samples in ((1, 0), (2, 0), (1, 1), (2, 2_400), (1, 48_001), (6, 20_003), (2, 150_000)):
        vocals = separator.vocals(noise(channels, samples))
        assert vocals.shape == (channels, samples), (channels, samples)
        assert vocals.dtype == np.float32
        assert np.isfinite(vocals).all()


def leaves_silence_silent(separator: Any) -> None:
    for channels in (1, 2):
        assert np.abs(separator.vocals(np.zeros((channels, SAMPLE_RATE), np.float32))).max() < 1e-6


def repeats_itself(separator: Any) -> None:
    mix = noise(2, SAMPLE_RATE)
    given = mix.copy()
    assert np.array_equal(separator.vocals(mix), separator.vocals(mix))
    assert np.array_equal(mix, given), "the input was changed"


class Rounded(FolderWork):
    """Shares of what is done may be off by rounding."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        super().__init__(folder)

    def progress(self, share: float) -> None:
        assert 0 <= share <= 1.0001


class Everywhere:
    """Hears speech from the second half second on."""

    def speech(self, audio: np.ndarray) -> list[Span]:
        return [Span(start=0.5, end=len(audio) / 16_000)]


def gives_stems_that_sum_to_the_mix(separator: Any, folder: Path) -> None:
    """Both stages on a title of two chunks: vocals + background = mix, and the gate let vocals through."""
    mix = noise(2, 5 * SAMPLE_RATE)
    inputs = {name: folder / name for name in ("master.flac", "chunks.json", "speech.json", "utterances.jsonl")}
    write(inputs["master.flac"], mix)
    middle = 3 * SAMPLE_RATE - 7
    chunks = [{"index": 0, "start": 0, "end": middle}, {"index": 1, "start": middle, "end": mix.shape[1]}]
    inputs["chunks.json"].write_text(json.dumps(chunks))
    inputs["speech.json"].write_text(json.dumps([{"start": 0.6, "end": 4.5}]))
    line = Utterance(id="u0", start=0.6, end=4.5, speaker="S1", language="en", text="hello")
    write_jsonl(inputs["utterances.jsonl"], [line])
    settings, open_gate = Settings().separation, 0.0
    for chunk in chunks:
        scope = Scope(chunk=chunk["index"])
        raw = STAGE.run(scope, inputs, settings, {"separator": separator}, Rounded(folder / f"a{chunk['index']}"))
        stems = STEMS.run(
            scope, inputs | dict(raw), settings, {"vad": Everywhere()}, Rounded(folder / f"b{chunk['index']}")
        )
        vocals, background = (read_audio(stems[name]) for name in ("vocals.flac", "background.flac"))
        true = read_audio(inputs["master.flac"], chunk["start"], chunk["end"])
        assert vocals.shape == background.shape == true.shape
        assert decibels(rms(vocals + background - true) / rms(true)) < SUM_DB
        open_gate += rms(vocals)
    assert open_gate > 0


def stops_when_told(separator: Any, folder: Path) -> None:
    """After the block in hand, and the engine works as before."""
    mix = noise(2, SAMPLE_RATE)
    before = separator.vocals(mix)
    inputs = {name: folder / name for name in ("master.flac", "chunks.json")}
    write(inputs["master.flac"], mix)
    inputs["chunks.json"].write_text(json.dumps([{"index": 0, "start": 0, "end": SAMPLE_RATE}]))
    with pytest.raises(Cancelled):
        STAGE.run(
            Scope(chunk=0), inputs, Settings().separation, {"separator": separator}, Stopping(folder / "stopped", 1)
        )
    assert np.array_equal(separator.vocals(mix), before)


def survives_a_long_input(separator: Any) -> None:
    mix = np.tile(noise(1, 10 * SAMPLE_RATE), 10)[:, : 95 * SAMPLE_RATE]
    assert separator.vocals(mix).shape == mix.shape
