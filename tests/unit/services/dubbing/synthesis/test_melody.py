"""What an original line does with pitch and level, and speech that becomes louder and softer with it."""

from __future__ import annotations

import numpy as np
import pytest

from services.dubbing.synthesis.melody import LEVEL_LIMIT_DB, follow_level, line_contour
from shared.audio.loudness import speech_loudness
from shared.core.records import SAMPLE_RATE
from tests.unit.services.dubbing.stand_ins import babble


def buzz(hertz: tuple[float, ...], seconds: float = 2.0) -> np.ndarray:
    count = round(seconds * SAMPLE_RATE)
    pitch = np.interp(np.arange(count), np.linspace(0, count, len(hertz)), hertz)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    return np.asarray(0.1 * sum(np.sin(k * phase) / k for k in range(1, 12)), np.float32)


def test_a_melody_is_told_from_the_speakers_usual_pitch() -> None:
    melody = line_contour(buzz((120.0, 120.0, 170.0)), 120.0).melody(0.0, 2.0)
    assert len(melody) == 21
    assert melody[2] == pytest.approx(0.0, abs=0.5) and melody[-1] > 4.0
    high = line_contour(buzz((240.0, 240.0)), 200.0).melody(0.5, 1.0)
    assert np.mean(high) == pytest.approx(12 * np.log2(240 / 200), abs=0.3)


def test_an_octave_off_is_a_mistake_and_silence_has_no_melody() -> None:
    assert line_contour(buzz((120.0, 120.0)), 300.0).melody(0.0, 2.0) == ()
    assert line_contour(np.zeros(SAMPLE_RATE, np.float32), 120.0).melody(0.0, 1.0) == ()


def test_speech_is_loud_where_the_original_is_loud() -> None:
    speech = babble(3.0)[0]
    gain = np.interp(np.arange(speech.size), [0, speech.size], [1.0, 0.2])
    followed = follow_level(speech, (babble(3.0, seed=1)[0] * gain).astype(np.float32))
    third = speech.size // 3
    before, after = (20 * np.log10(np.std(x[-third:]) / np.std(x[:third])) for x in (speech, followed))
    assert after < before - 3.0
    change = 20 * np.log10((np.abs(followed) + 1e-9) / (np.abs(speech) + 1e-9))
    assert np.abs(change[np.abs(speech) > 1e-3]).max() <= LEVEL_LIMIT_DB + 0.01


def test_speech_beside_silence_or_too_short_stays_as_it_is() -> None:
    speech = babble(2.0)[0]
    assert np.array_equal(follow_level(speech, np.zeros_like(speech)), speech)
    assert np.array_equal(follow_level(speech[:2000], speech[:2000]), speech[:2000])
    same = follow_level(speech, speech)
    assert speech_loudness(same[None]) == pytest.approx(speech_loudness(speech[None]), abs=0.2)
