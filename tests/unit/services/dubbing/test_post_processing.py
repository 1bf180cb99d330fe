"""Trim, bandwidth, loudness, panning and placement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dubbing.post_processing import add, finish, limit_bandwidth, panning, trim
from shared.audio.loudness import speech_loudness
from shared.core.records import SAMPLE_RATE
from tests.unit.services.dubbing.stand_ins import babble


def test_trimming_takes_the_silence_and_leaves_the_speech() -> None:
    speech = babble(1.0)[0]
    padded = np.concatenate([np.zeros(9000), speech, np.zeros(12000)]).astype(np.float32)
    assert abs(trim(padded, SAMPLE_RATE).size - speech.size) < 0.1 * SAMPLE_RATE
    assert trim(np.zeros(5000, np.float32), SAMPLE_RATE).size == 0
    assert trim(np.zeros(0, np.float32), SAMPLE_RATE).size == 0


def test_bandwidth_is_limited_without_delay() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = np.sin(2 * np.pi * 3000 * time), np.sin(2 * np.pi * 15000 * time)
    out = limit_bandwidth((low + high).astype(np.float32), 12_000)
    assert np.abs(out - low)[2000:-2000].max() < 0.01


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 4.0), st.floats(-25, 0), st.integers(1, 3))
def test_loudness_is_the_originals_line_by_line(seconds: float, level: float, channels: int) -> None:
    original = babble(seconds, 1, channels) * np.float32(10 ** (level / 20))
    done = finish(babble(seconds * 1.1, 2)[0], original, 12_000)
    assert done.audio.shape == (channels, babble(seconds * 1.1)[0].size)
    assert done.source_loudness == pytest.approx(speech_loudness(original))
    assert done.loudness == pytest.approx(done.source_loudness, abs=1.5)


def test_panning_of_the_original_is_kept() -> None:
    original = babble(1.0, channels=2) * np.array([[1.0], [0.5]], np.float32)
    done = finish(babble(1.0, 3)[0], original, 12_000)
    left, right = np.sqrt(np.square(done.audio).mean(axis=1))
    assert right / left == pytest.approx(0.5, rel=0.01)
    assert np.square(panning(np.zeros((6, 100), np.float32))).sum() == pytest.approx(1.0)


def test_silent_original_falls_back_and_nothing_clips() -> None:
    silent = np.zeros((1, SAMPLE_RATE), np.float32)
    assert finish(babble(1.0)[0], silent, 12_000, fallback=-30.0).loudness == pytest.approx(-30.0, abs=0.5)
    assert finish(babble(1.0)[0], silent, 12_000).source_loudness is None
    assert np.abs(finish(babble(1.0)[0], silent, 12_000, fallback=10.0).audio).max() <= 0.98 + 1e-6
    assert finish(np.zeros(0, np.float32), silent, 12_000).audio.shape == (1, 0)


@given(st.integers(-300, 1200), st.integers(0, 400))
def test_placement_is_exact_and_sums(start: int, count: int) -> None:
    track = np.ones((2, 1000), np.float32)
    add(track, np.full((2, count), 2.0, np.float32), start)
    expected = np.ones(1000)
    expected[max(start, 0) : max(min(start + count, 1000), 0)] += 2.0
    assert np.array_equal(track, np.tile(expected, (2, 1)))
