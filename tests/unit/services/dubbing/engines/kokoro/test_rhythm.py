"""Frames of phonemes: every phrase as long as its speed asks, none without a frame, cuts in the silence between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dubbing.engines.kokoro.rhythm import (
    BREAK_FRAMES,
    PlannedSpeech,
    Score,
    allot_frames,
    cut_phrases,
    score_of,
    share_out,
    sounding_seconds,
    whole_frames,
)
from shared.core.errors import EngineError

SPACE, MARK = 16, 4
SILENT = {SPACE, MARK}


def line(*sizes: int) -> Score:
    return score_of([[*range(50, 50 + size), MARK] for size in sizes], SPACE, SILENT)


@given(st.lists(st.floats(0.3, 9.0), min_size=1, max_size=40), st.integers(0, 200))
def test_shares_are_whole_and_sum_to_the_total(wanted: list[float], more: int) -> None:
    total = len(wanted) + more
    shares = share_out(np.array(wanted), total)
    assert shares.sum() == total and shares.min() >= 1
    assert np.array_equal(shares, np.round(shares))


@given(st.lists(st.integers(3, 12), min_size=1, max_size=4), st.floats(0.8, 1.3), st.integers(0, 99))
def test_a_phrase_lasts_as_long_as_its_speed_asks(sizes: list[int], speed: float, seed: int) -> None:
    score = line(*sizes)
    natural = np.random.default_rng(seed).uniform(2.0, 5.0, len(score.tokens))
    frames = allot_frames(natural, score, [speed] * len(sizes))
    for first, last in score.spans:
        usual = whole_frames(natural[first:last]).sum()
        assert frames[first:last].sum() == max(round(usual / speed), last - first)
    for (_, last), (first, _) in zip(score.spans[:-1], score.spans[1:], strict=True):
        assert frames[last:first].sum() >= BREAK_FRAMES


def test_at_speed_1_the_model_has_its_way() -> None:
    natural = np.array([9.2, 0.4, 2.5, 3.5, 1.2, 4.0])
    assert np.array_equal(allot_frames(natural, line(3), [1.0]), whole_frames(natural))


def test_phrases_are_cut_in_the_silence_between() -> None:
    score = line(3, 4)
    frames = np.full(len(score.tokens), 2.0)
    (_, one), (two, _) = score.spans
    frames[one:two] = 5
    level = np.repeat([0.0 if token in {0, *SILENT} else 1.0 for token in score.tokens], frames.astype(int) * 600)
    first, second = cut_phrases(level.astype(np.float32), frames, score)
    assert first.sum() == 3 * 2 * 600 and second.sum() == 4 * 2 * 600
    assert not first[-600:].any() and not second[:600].any()


def test_silence_at_the_end_of_the_last_phoneme_is_not_speech() -> None:
    score = line(3)
    durations = np.array([4.0, 2.0, 2.0, 20.0, 4.0, 1.0])
    energy = np.full(66, -9.0)
    energy[8:26] = 7.0
    (seconds,) = sounding_seconds(PlannedSpeech(durations, np.zeros(66), energy), score)
    assert seconds == pytest.approx(18 * 0.0125, abs=0.05)


def test_a_phrase_without_sound_is_refused() -> None:
    with pytest.raises(EngineError) as caught:
        score_of([[50, 51], [MARK]], SPACE, SILENT)
    assert caught.value.code == "nothing_to_speak"
