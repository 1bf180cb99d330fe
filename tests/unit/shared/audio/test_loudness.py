"""Loudness of speech against pyloudnorm, and its guards."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audio.loudness import MAX_BOOST_DB, MAX_CUT_DB, gain_to, speech_loudness
from shared.core.records import SAMPLE_RATE


def steady(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
def test_steady_sound_measures_as_in_pyloudnorm(channels: int) -> None:
    audio = np.tile(steady(3.0), (channels, 1))
    expected = pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(audio.T.astype(np.float64))
    assert speech_loudness(audio) == pytest.approx(expected, abs=0.1)


def test_pauses_do_not_lower_the_loudness_of_speech() -> None:
    speech = steady(2.0)
    with_pauses = np.concatenate([np.zeros(SAMPLE_RATE), speech, np.zeros(3 * SAMPLE_RATE)]).astype(np.float32)
    assert speech_loudness(with_pauses) == pytest.approx(speech_loudness(speech), abs=0.3)


def test_lines_shorter_than_a_gating_block_are_measured() -> None:
    assert speech_loudness(steady(0.2)) == pytest.approx(speech_loudness(steady(2.0)), abs=0.7)
    assert speech_loudness(steady(0.005)) is not None


@pytest.mark.parametrize("samples", [0, 1, 480, SAMPLE_RATE])
def test_silence_has_no_loudness(samples: int) -> None:
    assert speech_loudness(np.zeros((2, samples), np.float32)) is None


@settings(max_examples=25, deadline=None)
@given(st.floats(-30, 15))
def test_gain_moves_loudness_by_as_much(db: float) -> None:
    audio = steady(0.5)
    before = speech_loudness(audio)
    after = speech_loudness(audio * 10 ** (db / 20))
    assert before is not None and after is not None
    assert after - before == pytest.approx(db, abs=0.01)
    assert gain_to(before, after) == pytest.approx(10 ** (db / 20), rel=1e-3)


def test_gain_is_limited_and_unknown_loudness_means_none() -> None:
    assert gain_to(-70.0, -10.0) == pytest.approx(10 ** (MAX_BOOST_DB / 20))
    assert gain_to(-10.0, -70.0) == pytest.approx(10 ** (-MAX_CUT_DB / 20))
    assert gain_to(None, -23.0) == gain_to(-23.0, None) == 1.0
