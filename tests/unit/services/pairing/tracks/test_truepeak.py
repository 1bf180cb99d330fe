"""True peak: inter-sample peaks are found, blocks do not matter, pruning changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.pairing.tracks.truepeak import PHASES, TruePeak, true_peak
from shared.core.records import SAMPLE_RATE


def sine(hertz: float, phase: float, amplitude: float, seconds: float = 0.2) -> np.ndarray:
    """A tone with slow edges, whose peak between the samples is its amplitude."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    edge = np.clip(np.minimum(time, seconds - time) / 0.05, 0, 1)
    return (amplitude * edge * np.sin(2 * np.pi * hertz * time + phase)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    hertz=st.floats(100, SAMPLE_RATE / 4),
    phase=st.floats(0, 2 * np.pi),
    level=st.floats(-60, 0),
)
def test_a_tone_reads_its_amplitude_within_the_ripple_of_the_filter(hertz: float, phase: float, level: float) -> None:
    found = true_peak(sine(hertz, phase, 10 ** (level / 20)))
    assert -0.4 <= found - level <= 0.25


def test_the_peak_between_samples_of_a_quarter_rate_tone_is_seen() -> None:
    tone = sine(SAMPLE_RATE / 4, np.pi / 4, 1.0)
    assert 20 * np.log10(np.abs(tone).max()) == pytest.approx(-3.01, abs=0.02)
    assert true_peak(tone) == pytest.approx(0.0, abs=0.25)


def test_it_never_reads_below_the_sample_peak() -> None:
    click = np.zeros(1000, dtype=np.float32)
    click[::2] = 0.9
    click[1::2] = -0.9
    assert true_peak(click) >= 20 * np.log10(0.9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 20_000), max_size=6))
def test_blocks_of_any_size_read_as_the_whole(seed: int, cuts: list[int]) -> None:
    audio = np.random.default_rng(seed).normal(0, 0.2, (2, 20_000)).astype(np.float32)
    audio[:, :10_000] *= 0.05
    meter = TruePeak(2)
    for block in np.split(audio, sorted(cuts), axis=1):
        meter.add(block)
    by_hand = max(float(np.abs(np.convolve(channel, phase)).max()) for channel in audio for phase in PHASES)
    assert meter.peak == pytest.approx(max(by_hand, float(np.abs(audio).max())), rel=1e-5)


def test_silence_reads_minus_200() -> None:
    assert true_peak(np.zeros((2, 100), dtype=np.float32)) == -200
    assert TruePeak(1).dbtp == -200
