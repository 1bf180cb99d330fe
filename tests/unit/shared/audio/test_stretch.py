"""Time stretch: exact length, same pitch, content in its place."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.audio import stretch as stretching
from shared.audio.stretch import stretch
from shared.core.records import SAMPLE_RATE


@pytest.fixture(params=["signalsmith", "atempo"])
def _each_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries do the same; Linux on aarch64 has the second only."""
    if request.param == "atempo":
        monkeypatch.setattr(stretching, "find_spec", lambda name: None)
        monkeypatch.setitem(sys.modules, "python_stretch", None)


pytestmark = pytest.mark.usefixtures("_each_library")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 60_000), st.floats(0.75, 1.35))
def test_length_is_exact_to_the_sample(samples: int, ratio: float) -> None:
    wanted = int(samples * ratio)
    out = stretch(np.ones(samples, np.float32), wanted)
    assert out.shape == (wanted,) and out.dtype == np.float32 and np.isfinite(out).all()


@pytest.mark.parametrize("ratio", [0.8, 0.9, 1.1, 1.25])
def test_pitch_stays(ratio: float) -> None:
    tone = np.sin(2 * np.pi * 220 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    out = stretch(tone, int(tone.size * ratio))
    spectrum = np.abs(np.fft.rfft(out * np.hanning(out.size)))
    assert np.argmax(spectrum) * SAMPLE_RATE / out.size == pytest.approx(220, abs=1.5)


@pytest.mark.parametrize("ratio", [0.85, 1.15])
def test_events_move_with_the_tempo(ratio: float) -> None:
    audio = np.zeros(2 * SAMPLE_RATE, np.float32)
    burst = np.sin(2 * np.pi * 1000 * np.arange(960) / SAMPLE_RATE) * np.hanning(960)
    positions = [SAMPLE_RATE // 4, SAMPLE_RATE, 7 * SAMPLE_RATE // 4]
    for position in positions:
        audio[position : position + 960] = burst
    out = np.abs(stretch(audio, int(audio.size * ratio)))
    for position in positions:
        middle = int((position + 480) * ratio)
        near = out[middle - 4800 : middle + 4800]
        assert abs(np.argmax(near) - 4800) < 0.02 * SAMPLE_RATE


def test_same_length_is_untouched_and_nothing_gives_silence() -> None:
    audio = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    assert np.array_equal(stretch(audio, 5000), audio)
    assert stretch(audio, 0).size == 0
    assert not stretch(np.zeros(0, np.float32), 100).any()
