"""Matching the colour of a voice, and putting it into a room."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from services.dubbing.casting.timbre import BANDS_HZ, band_levels, equalise
from services.dubbing.synthesis.room import add_room, reverberation_time
from shared.core.records import SAMPLE_RATE


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)


def test_equalising_brings_the_long_term_spectrum_nearer() -> None:
    have = noise(2.0)
    want = sosfilt(butter(1, 4000, fs=SAMPLE_RATE, output="sos"), noise(2.0, 1)).astype(np.float32)
    a, b = band_levels(have), band_levels(want)
    assert a is not None and b is not None
    out = equalise(have, a, b)
    c = band_levels(out)
    assert c is not None

    def distance(x: np.ndarray) -> float:
        return float(np.std(x - b))

    assert out.shape == have.shape
    assert distance(c) < 0.4 * distance(a)


def test_equalising_is_limited_and_moves_nothing_in_time() -> None:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[SAMPLE_RATE // 2] = 1.0
    flat = np.zeros(len(BANDS_HZ))
    steep = np.linspace(60, -60, len(BANDS_HZ))
    out = equalise(click, flat, steep, limit_db=8.0)
    assert np.argmax(np.abs(out)) == SAMPLE_RATE // 2
    gains = 20 * np.log10(np.abs(np.fft.rfft(out)) + 1e-9)
    assert gains.max() < 8.5 and gains.min() > -8.5
    assert np.allclose(equalise(click, flat, flat), click, atol=1e-4)


def test_silence_has_no_spectrum() -> None:
    assert band_levels(np.zeros(SAMPLE_RATE, np.float32)) is None
    assert band_levels(np.zeros(0, np.float32)) is None


def test_reverberation_time_of_decaying_bursts() -> None:
    time = np.arange(int(0.8 * SAMPLE_RATE)) / SAMPLE_RATE
    burst = noise(0.8) * 10 ** (-3 * time / 0.5)
    assert reverberation_time(np.tile(burst, 6)) == pytest.approx(0.5, abs=0.15)
    assert reverberation_time(noise(2.0) * 0) is None


def test_room_adds_a_tail_and_keeps_length_and_onset() -> None:
    time = np.arange(int(0.8 * SAMPLE_RATE)) / SAMPLE_RATE
    like = np.tile(noise(0.8) * 10 ** (-3 * time / 0.5), 6)
    dry = np.zeros(SAMPLE_RATE, np.float32)
    dry[1000] = 0.5
    wet = add_room(dry, like)
    assert wet.shape == dry.shape
    assert np.argmax(np.abs(wet)) == 1000 and np.abs(wet[:999]).max() < 1e-6
    assert np.square(wet[2000:]).sum() > 1e-4
    assert np.array_equal(add_room(dry, np.zeros(100, np.float32)), dry)
