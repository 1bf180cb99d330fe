"""Whose sex is told right: men of two handed shots in six languages, the sample's two, six men who say digits.

The third shot is left out: in the first of its words a man and women speak at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from services.transcription.voice_sex import BOUNDARY_HZ, sex_of
from shared.audio.pitch import median_f0
from shared.audio.resemblyzer import Resemblyzer
from shared.audio.signal import SPEECH_RATE, resample, to_mono_16k
from shared.core.records import SAMPLE_RATE
from shared.engines.protocols import EngineOptions
from shared.media.probing import probe
from shared.media.sound import decode_audio
from tests.benchmarks.listening import Listener
from tests.conftest import ROOT
from tests.unit.services.transcription.test_voice_sex import MEN

pytestmark = pytest.mark.bench
SHOTS = ("1445350_26", "80145138_271")
"""A boy of about fifteen, and men in a saloon."""


def voices(data_dir: Path, ear: Listener, work: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, sex, and speech, mono 16 kHz."""
    for path in sorted((data_dir / "dubbed-shots").glob("*.mp4")):
        if path.stem.startswith(SHOTS):
            decode_audio(path, probe(path), work / f"{path.stem}.flac")
            heard = ear.hear(work / f"{path.stem}.flac")
            yield path.stem, "male", to_mono_16k(heard.speech((0.0, heard.mix.shape[1] / SAMPLE_RATE)))
    for name, sex in (("anna", "female"), ("tom", "male")):
        audio, rate = sf.read(ROOT / "tests" / "sample" / "truth" / f"{name}.flac", dtype="float32", always_2d=True)
        mono = audio.mean(axis=1)
        yield name, sex, resample(mono[np.abs(mono) > 1e-3], rate, SPEECH_RATE)
    for name in MEN:
        files = sorted((data_dir / "spoken-digits" / "recordings").glob(f"*_{name}_1*.wav"))[:16]
        audio = np.concatenate([sf.read(file, dtype="float32")[0] for file in files])
        yield name, "male", resample(audio, 8000, SPEECH_RATE)


def test_sex_is_told_right(data_dir: Path, weights: Any, tmp_path: Path) -> None:
    encoder = Resemblyzer(EngineOptions(), weights)
    right, by_pitch, count = 0, 0, 0
    print()
    for name, sex, speech in voices(data_dir, Listener(weights), tmp_path):
        pitch = median_f0(speech)
        told = sex_of(encoder.embed(speech).tolist(), pitch)
        alone = None if pitch is None else "male" if pitch < BOUNDARY_HZ else "female"
        right, by_pitch, count = right + (told == sex), by_pitch + (alone == sex), count + 1
        print(f"{name:18}{sex:8}{'–' if pitch is None else round(pitch):>5} Hz  told {told}, by pitch alone {alone}")
    print(f"right {right} of {count}, by pitch alone {by_pitch}")
    assert right >= 0.95 * count
