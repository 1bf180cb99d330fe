"""A file's sound at the tower's rate and length."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from trainer.frontend.sound import one_window, resample


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 96_000])
def test_a_tone_stays_a_tone(rate: int) -> None:
    wave = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    made = resample(wave, rate, 48_000)
    assert len(made) == 48_000
    expected = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    np.testing.assert_allclose(made[1000:-1000], expected[1000:-1000], atol=5e-3)
    np.testing.assert_allclose(made[1000:-1000], soxr.resample(wave, rate, 48_000)[1000:-1000], atol=5e-3)


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    wave = np.sin(2 * np.pi * 20_000 * np.arange(96_000) / 48_000).astype(np.float32)
    assert np.abs(resample(wave, 48_000, 16_000)[200:-200]).max() < 0.02


def test_the_first_window_or_zeros_after_what_there_is() -> None:
    wave = np.stack([np.arange(100, dtype=np.float32), np.zeros(100, np.float32)])
    assert one_window(wave, 10, 10, 3.0).tolist() == [value / 2 for value in range(30)]
    short = one_window(wave[:, :4], 10, 10, 3.0)
    assert short.tolist() == [0, 0.5, 1, 1.5, *[0] * 26] and short.dtype == np.float32
