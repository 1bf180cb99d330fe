"""How much nearer to the truth the stems are than the mix, on real speech over real backgrounds.

Prints a table. Thresholds are well below what was measured (docs/separation.md): they catch a broken model only.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.separation.engines.deepfilternet import DeepFilterNet
from services.separation.engines.spleeter import Spleeter
from shared.audio.files import read_audio
from shared.audio.signal import decibels, resample, rms, to_mono
from shared.core.records import SAMPLE_RATE
from shared.engines.protocols import EngineOptions

pytestmark = pytest.mark.bench
BACKGROUNDS = ("002 - Rain", "003 - Sea waves", "010 - Fire crackling", "007 - Helicopter")


def si_sdr(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant ratio of signal to distortion, dB (Le Roux et al., 1811.02508)."""
    truth, estimate = truth - truth.mean(), estimate - estimate.mean()
    target = truth * (estimate @ truth / (truth @ truth))
    return decibels(rms(target) / max(rms(estimate - target), 1e-12))


@pytest.mark.parametrize("kind, least", [(Spleeter, 4.0), (DeepFilterNet, 2.0)])
def test_si_sdr_gain(kind: Any, least: float, weights: Any, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = kind(EngineOptions(), weights)
    speech = to_mono(resample(read_audio(data_dir / "speech" / "jfk.flac"), 44_100, SAMPLE_RATE)) * np.float32(0.3)
    rows, spent = [], 0.0
    for name in BACKGROUNDS:
        takes = sorted((data_dir / "esc10" / name).glob("*.ogg"))[:3]
        bed = np.concatenate([to_mono(resample(read_audio(take), 44_100, SAMPLE_RATE)) for take in takes])[
            : len(speech)
        ]
        for ratio in (0, 5, 10):
            noise = bed * np.float32(rms(speech) / rms(bed) / 10 ** (ratio / 20))
            mix = speech + noise
            began = time.perf_counter()
            (vocals,) = engine.vocals(mix[None])
            spent += time.perf_counter() - began
            gain = si_sdr(speech, vocals) - si_sdr(speech, mix)
            residual = si_sdr(noise, mix - vocals) - si_sdr(noise, mix)
            kept = float(vocals @ speech / (speech @ speech))
            rows.append((name[6:], ratio, gain, residual, kept))
    with capsys.disabled():
        print(f"\n{kind.name}: real-time factor {spent / len(rows) * SAMPLE_RATE / len(speech):.3f}")
        for name, ratio, gain, residual, kept in rows:
            print(f"  {name:15} {ratio:3} dB  speech {gain:+5.1f}  background {residual:+5.1f}  voice kept {kept:.2f}")
    assert min(gain for _, _, gain, _, _ in rows) > least
