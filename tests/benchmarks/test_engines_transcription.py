"""Whisper base in both packages: windows one by one beside a batch of the same windows, in one run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from services.transcription.engines.faster_whisper import FasterWhisper
from services.transcription.engines.whisper import OpenAIWhisper
from shared.audio.signal import resample
from shared.core.text import normalise
from shared.engines.protocols import EngineOptions
from tests.engines.ct2_weights import to_openai

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def pieces(data_dir: Path) -> list[np.ndarray]:
    """Eight lines of 3.4 to 11 s, mono 16 kHz."""
    audio, rate = sf.read(data_dir / "speech" / "jfk.flac", dtype="float32", always_2d=True)
    speech = resample(audio.mean(axis=1), rate, 16_000)
    lines = [speech, speech[:54_000], speech[54_000:], speech[85_000:]]
    return [line * np.float32(gain) for gain in (1.0, 0.5) for line in lines]


def compare(name: str, kind: Any, options: Any, pieces: list[np.ndarray], weights: Any, capsys: Any) -> None:
    seconds, spent, texts = sum(map(len, pieces)) / 16_000, {}, {}
    for size in (1, len(pieces)):
        engine = kind(options(size), weights)
        engine.transcribe(pieces[1], "en")
        began = time.perf_counter()
        found = engine.transcribe_many(pieces, "en")
        spent[size] = time.perf_counter() - began
        texts[size] = [normalise(" ".join(segment.text for segment in segments), "en") for segments in found]
    same = sum(one == other for one, other in zip(*texts.values(), strict=True))
    with capsys.disabled():
        single, batched = spent.values()
        print(
            f"\n{name}: one by one {seconds / single:.2f} × real time, batches of {len(pieces)} "
            f"{seconds / batched:.2f} (ratio {single / batched:.2f}); same words in {same} of {len(pieces)}"
        )
    assert same >= len(pieces) - 2


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("short", [True, False])
def test_faster_whisper(device: str, short: bool, pieces: Any, weights: Any, capsys: Any) -> None:
    pytest.importorskip("faster_whisper")

    def options(size: int) -> EngineOptions:
        return EngineOptions("base", device, 2, extra={"batch_size": size, "short_window": short})

    compare(f"faster-whisper {device}, short window {short}", FasterWhisper, options, pieces, weights, capsys)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_openai_whisper(device: str, pieces: Any, weights: Any, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("whisper")
    given = to_openai(weights.path("whisper-base-ct2") / "model.bin", tmp_path / "base.pt")

    def options(size: int) -> EngineOptions:
        return EngineOptions(str(given), device, 2, extra={"batch_size": size})

    compare(f"openai-whisper {device}", OpenAIWhisper, options, pieces, weights, capsys)
