"""The speaker encoder gives the vectors of the original and tells speakers apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from shared.audio.mel import filters
from shared.audio.pitch import median_f0
from shared.audio.resemblyzer import Resemblyzer, windows
from shared.audio.signal import resample
from shared.engines.protocols import EngineOptions

GOLDEN = Path(__file__).parent / "golden" / "resemblyzer.npz"
"""Made with resemblyzer 0.1.4 on torch 2.13: embeddings of :func:`tone` of some lengths and levels."""


def tone(seconds: float, level: float) -> np.ndarray:
    """A buzz with a moving pitch and formant-like bands: deterministic, of this file alone."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.7 * time)) / 16_000
    voice = sum(np.sin(k * phase) / k for k in range(1, 25)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * time))
    return (level * voice).astype(np.float32)


@pytest.fixture(scope="module")
def embedder(weights: Any) -> Resemblyzer:
    return Resemblyzer(EngineOptions(), weights)


def test_golden_vectors(embedder: Resemblyzer) -> None:
    golden = np.load(GOLDEN)
    for seconds, level, expected in zip(golden["seconds"], golden["level"], golden["embedding"], strict=True):
        assert np.abs(embedder.embed(tone(seconds, level)) - expected).max() < 1e-4


@pytest.mark.parametrize("samples", [0, 1, 160, 5_000, 25_600, 25_601, 200_003])
def test_any_length_gives_a_unit_vector(embedder: Resemblyzer, samples: int) -> None:
    vector = embedder.embed(tone(13, 0.1)[:samples])
    assert vector.shape == (256,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)
    assert vector.min() >= 0


def test_silence_gives_finite_numbers(embedder: Resemblyzer) -> None:
    assert np.isfinite(embedder.embed(np.zeros(16_000, np.float32))).all()


def test_quiet_speech_is_brought_up_and_loud_speech_left(embedder: Resemblyzer) -> None:
    quiet, quieter = (embedder.embed(tone(3, level)) for level in (0.01, 0.001))
    assert quiet @ quieter > 0.9999
    assert windows(tone(3, 0.4)).max() > 3 * windows(tone(3, 0.2)).max()


def test_mel_filters_have_equal_area() -> None:
    bank = filters(16_000, 1024, 40)
    assert bank.shape == (40, 513)
    assert np.allclose(bank.sum(axis=1) * 16_000 / 1024, 1, atol=0.2)


def test_speakers_are_told_apart(embedder: Resemblyzer, data_dir: Path) -> None:
    """Free Spoken Digit Dataset: the same voice saying other digits is nearer than any other voice."""
    folder = data_dir / "spoken-digits" / "recordings"
    if not folder.is_dir():
        pytest.skip("no spoken-digits among the real clips")
    speakers = ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]

    def voice(speaker: str, digits: range) -> np.ndarray:
        said = [sf.read(folder / f"{digit}_{speaker}_0.wav", dtype="float32")[0] for digit in digits]
        return embedder.embed(resample(np.concatenate(said), 8_000, 16_000))

    first = np.stack([voice(speaker, range(5)) for speaker in speakers])
    second = np.stack([voice(speaker, range(5, 10)) for speaker in speakers])
    cosine = first @ second.T
    assert (cosine.argmax(axis=1) == np.arange(len(speakers))).all()
    others = cosine[~np.eye(len(speakers), dtype=bool)]
    assert np.diag(cosine).mean() > others.mean() + 0.15


@pytest.mark.parametrize("hertz", [80.0, 120.0, 220.0, 350.0])
def test_median_pitch_of_a_buzz(hertz: float) -> None:
    time = np.arange(16_000) / 16_000
    buzz = np.stack([np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 12)]).sum(0) * 0.2
    found = median_f0(buzz.astype(np.float32))
    assert found == pytest.approx(hertz, rel=0.03)


@pytest.mark.parametrize("samples", [0, 1, 400, 16_000])
def test_silence_has_no_pitch(samples: int) -> None:
    assert median_f0(np.zeros(samples, np.float32)) is None
