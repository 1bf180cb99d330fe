"""Melody and loudness beside an original's: equal ones agree, opposite ones disagree, silence says nothing."""

from __future__ import annotations

import numpy as np
import pytest

from shared.quality.prosody import compare_prosody

RATE = 16_000


def voice(hertz: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Two seconds of a buzz whose pitch and level go through the given values."""
    count = 2 * RATE
    pitch = np.interp(np.arange(count), np.linspace(0, count, len(hertz)), hertz)
    gain = np.interp(np.arange(count), np.linspace(0, count, len(level)), level)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return (gain * sum(np.sin(k * phase) / k for k in range(1, 9))).astype(np.float32)


RISING, FALLING = np.array([110.0, 130.0, 160.0]), np.array([160.0, 130.0, 110.0])
SWELLING, FADING = np.geomspace(0.01, 0.2, 9), np.geomspace(0.2, 0.01, 9)


def test_the_same_movement_an_octave_higher_is_the_same_melody() -> None:
    found = compare_prosody(voice(RISING, SWELLING), voice(2 * RISING, SWELLING))
    assert found.pitch_correlation == pytest.approx(1.0, abs=0.05)
    assert found.energy_correlation == pytest.approx(1.0, abs=0.05)
    assert found.pitch_offset == pytest.approx(12.0, abs=0.3)
    assert found.pitch_spread == pytest.approx(found.source_pitch_spread, abs=0.2)


def test_the_opposite_movement_is_its_opposite() -> None:
    found = compare_prosody(voice(RISING, SWELLING), voice(FALLING, FADING))
    assert found.pitch_correlation is not None and found.pitch_correlation < -0.9
    assert found.energy_correlation is not None and found.energy_correlation < -0.9


def test_silence_says_nothing() -> None:
    found = compare_prosody(voice(RISING, SWELLING), np.zeros(2 * RATE, np.float32))
    assert found.pitch_correlation is None and found.pitch_offset is None
    assert compare_prosody(np.zeros(0, np.float32), np.zeros(0, np.float32)).energy_correlation is None
