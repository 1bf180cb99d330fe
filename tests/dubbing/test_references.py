"""What a cloning engine is shown of a speaker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.dubbing.references import LEVEL, WANTED_SECONDS, contrast, pick
from shared.audio.signal import SPEECH_RATE, resample, rms
from shared.records import SAMPLE_RATE, Utterance
from tests.dubbing.stand_ins import babble, utterance


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    return resample(babble(seconds, seed)[0], SAMPLE_RATE, SPEECH_RATE)


class Takes:
    """The sound of lines, by their id."""

    def __init__(self, **sounds: np.ndarray) -> None:
        self.sounds = sounds

    def __call__(self, line: Utterance) -> np.ndarray:
        return self.sounds[line.id]


def lines(*lengths: float, **values: Any) -> list[Utterance]:
    return [utterance(number, 10.0 * number, 10.0 * number + length, **values) for number, length in enumerate(lengths)]


def seconds(audio: np.ndarray) -> float:
    return audio.size / SPEECH_RATE


def test_long_enough_and_no_longer() -> None:
    many = lines(*[4.0] * 8)
    out = pick(many, Takes(**{line.id: speech(4.0, number) for number, line in enumerate(many)}))
    assert out.dtype == np.float32
    assert WANTED_SECONDS - 1 < seconds(out) <= WANTED_SECONDS


def test_clean_lines_before_noisy_ones() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(12 * SPEECH_RATE).astype(np.float32)
    pauses = (np.sin(2 * np.pi * 1.5 * np.arange(12 * SPEECH_RATE) / SPEECH_RATE) > -0.3).astype(np.float32)
    clean = speech(12.0) * pauses + 1e-5 * noise
    assert contrast(clean) > contrast(clean + noise) + 10
    both = lines(12.0, 12.0)
    out = pick(both, Takes(u0000=clean + noise, u0001=clean))
    assert contrast(out) > contrast(clean) - 3


def test_nobody_else() -> None:
    both = lines(5.0, 5.0)
    heard = {5: np.array([1.0, 0.0]), 6: np.array([0.0, 1.0])}
    mine, other = speech(5.0), 0.5 * np.ones(5 * SPEECH_RATE, np.float32)

    def embed(audio: np.ndarray) -> np.ndarray:
        return heard[6 if audio.min() > 0 else 5]

    out = pick(both, Takes(u0000=other, u0001=mine), [1.0, 0.0], embed)
    assert out.min() < 0
    assert seconds(out) <= 5.0


@pytest.mark.parametrize("spoilt", ["overlapped", "clipped", "short"])
def test_what_spoils_a_line(spoilt: str) -> None:
    good, bad = utterance(1, 0.0, 4.0), utterance(2, 10.0, 14.0, overlapped=spoilt == "overlapped")
    sound = 0.3 * np.ones(4 * SPEECH_RATE, np.float32)
    if spoilt == "clipped":
        sound = np.ones(4 * SPEECH_RATE, np.float32)
    if spoilt == "short":
        sound = sound[: SPEECH_RATE // 2]
    out = pick([bad, good], Takes(u0001=speech(4.0), u0002=sound))
    assert seconds(out) <= 4.0
    assert np.mean(out < 0) > 0.2


def test_little_is_better_than_nothing() -> None:
    few = lines(0.6, 0.7)
    out = pick(few, Takes(u0000=speech(0.6), u0001=speech(0.7, 1)))
    assert seconds(out) > 1.2
    only = [utterance(1, 0.0, 2.0, overlapped=True)]
    assert seconds(pick(only, Takes(u0001=speech(2.0)))) > 1.5


def test_nothing() -> None:
    assert pick([], Takes()).size == 0
    silent = [utterance(1, 0.0, 2.0)]
    assert pick(silent, Takes(u0001=np.zeros(2 * SPEECH_RATE, np.float32))).size == 0
    dropped = [utterance(1, 0.0, 2.0, status="dropped")]
    assert pick(dropped, Takes(u0001=speech(2.0))).size == 0


def test_one_level() -> None:
    both = lines(4.0, 4.0)
    out = pick(both, Takes(u0000=0.05 * speech(4.0), u0001=2.0 * speech(4.0, 1)))
    first, second = out[: 3 * SPEECH_RATE], out[-3 * SPEECH_RATE :]
    assert rms(first) == pytest.approx(LEVEL, rel=0.2)
    assert rms(second) == pytest.approx(LEVEL, rel=0.2)
