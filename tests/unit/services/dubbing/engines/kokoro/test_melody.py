"""Factors on a planned pitch curve: it goes where the melody goes, within limits, and Japanese keeps its accents."""

from __future__ import annotations

import numpy as np
import pytest

from services.dubbing.engines.kokoro.melody import LIMIT_SEMITONES, SHARE, pitch_factors

FRAMES = 160
WHOLE = slice(0, FRAMES)
LEVEL = np.full(FRAMES, 120.0)


def moved(planned: np.ndarray, melody: tuple[float, ...], language: str = "es") -> np.ndarray:
    """What is added to each value, semitones."""
    return np.asarray(12 * np.log2(pitch_factors(planned, [WHOLE], [melody], language)))


def test_without_a_melody_nothing_moves() -> None:
    assert np.array_equal(pitch_factors(LEVEL, [WHOLE], [()], "es"), np.ones(FRAMES))
    assert np.array_equal(pitch_factors(np.full(FRAMES, 8.0), [WHOLE], [(3.0, 3.0)], "es"), np.ones(FRAMES))


def test_a_level_line_rises_where_the_melody_rises() -> None:
    steps = moved(LEVEL, (-4.0, 0.0, 4.0))
    assert steps[0] < -1.5 and steps[-1] > 1.5 and np.all(np.diff(steps) > -1e-9)
    assert moved(LEVEL, (3.0, 3.0, 3.0)) == pytest.approx(3.0 * SHARE)


def test_nothing_moves_farther_than_sounds_natural() -> None:
    assert np.abs(moved(LEVEL, (-12.0, 12.0))).max() <= LIMIT_SEMITONES + 1e-9


def test_a_phrase_keeps_to_itself() -> None:
    factors = pitch_factors(LEVEL, [slice(0, 60), slice(100, 160)], [(), (4.0, 4.0)], "es")
    assert np.all(factors[:100] == 1) and np.all(factors[100:] > 1)


def test_japanese_keeps_its_accents() -> None:
    """The fall of an accent, 0.3 s, is left as it is where other languages would follow."""
    accents = 120 * 2 ** (np.where(np.arange(FRAMES) // 24 % 2, -2.0, 2.0) / 12)
    flat = (0.0, 0.0)

    def swing(language: str) -> float:
        after = 12 * np.log2(accents / 120) + moved(accents, flat, language)
        return float(np.std(after))

    before = float(np.std(12 * np.log2(accents / 120)))
    assert swing("ja") > 0.85 * before > swing("es")
    assert moved(accents, (3.0, 3.0), "ja").mean() > 1.0
