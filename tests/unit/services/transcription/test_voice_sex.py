"""Whose voice is a woman's and whose a man's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from services.dubbing.engines.kokoro import make_sexes
from services.dubbing.engines.kokoro.engine import voice_table
from services.transcription.voice_sex import direction, sex_of
from shared.audio.pitch import median_f0
from shared.audio.resemblyzer import Resemblyzer
from shared.audio.signal import SPEECH_RATE, resample
from shared.engines.protocols import EngineOptions
from tests.conftest import ROOT

MEN = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
"""Speakers of the spoken digits."""


def test_the_weights_are_what_their_script_makes() -> None:
    weights, constant = make_sexes.direction()
    assert np.allclose(direction()[0], weights, atol=1e-5) and direction()[1] == pytest.approx(constant, abs=1e-5)


def test_pitch_decides_where_nothing_else_is_known() -> None:
    assert (sex_of([], 110.0), sex_of([], 220.0), sex_of([], None)) == ("male", "female", None)
    assert sex_of([1.0, 0.0], 220.0) == "female", "of another encoder"


def test_raised_men_and_low_women_are_known_by_their_sound() -> None:
    voices = {style: vector / np.linalg.norm(vector) for style, vector in voice_table().items()}
    assert sex_of(voices["am_onyx"].tolist(), 194.0) == "male"
    assert sex_of(voices["af_heart"].tolist(), 150.0) == "female"
    wrong = [name for name, voice in voices.items() if sex_of(voice.tolist(), None) != SEXES[name[1]]]
    assert len(wrong) <= 2


SEXES = {"f": "female", "m": "male"}


def known(audio: np.ndarray, rate: int, encoder: Resemblyzer) -> str | None:
    low = resample(audio, rate, SPEECH_RATE)
    return sex_of(encoder.embed(low).tolist(), median_f0(low))


def test_the_samples_two(weights: Any) -> None:
    encoder = Resemblyzer(EngineOptions(), weights)
    for name, expected in (("anna", "female"), ("tom", "male")):
        audio, rate = sf.read(ROOT / "tests" / "sample" / "truth" / f"{name}.flac", dtype="float32", always_2d=True)
        mono = audio.mean(axis=1)
        assert known(mono[np.abs(mono) > 1e-3][: 10 * rate], rate, encoder) == expected


@pytest.mark.parametrize("name", MEN)
def test_men_who_say_digits(name: str, data_dir: Path, weights: Any) -> None:
    files = sorted((data_dir / "spoken-digits" / "recordings").glob(f"*_{name}_1*.wav"))[:16]
    audio = np.concatenate([sf.read(path, dtype="float32")[0] for path in files])
    assert known(audio, 8000, Resemblyzer(EngineOptions(), weights)) == "male"
