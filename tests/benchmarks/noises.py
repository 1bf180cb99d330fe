"""Sounds that speech is mixed with: music and a crowd made here, effects of ESC-10, the sample's bed. 48 kHz, mono."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

from shared.audio.signal import resample, rms
from shared.core.records import SAMPLE_RATE
from tests.conftest import ROOT

TRUTH = ROOT / "tests" / "sample" / "truth"
CHORDS = ((220.0, 277.2, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7), (164.8, 207.7, 246.9))


def load(path: Path) -> np.ndarray:
    audio, rate = sf.read(path, dtype="float32", always_2d=True)
    mono = audio.mean(axis=1)
    return mono if rate == SAMPLE_RATE else resample(mono, rate, SAMPLE_RATE)


def music(samples: int, seed: int = 1) -> np.ndarray:
    """Chords, drums and a square lead at 120 beats a minute."""
    rng = np.random.default_rng(seed)
    out = np.zeros(samples + 2 * SAMPLE_RATE, np.float32)
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    shape = np.minimum(1, time * 20) * np.exp(-0.6 * time)
    for bar, at in enumerate(range(0, samples, 2 * SAMPLE_RATE)):
        for tone in CHORDS[bar % 4]:
            for partial in range(1, 6):
                wave = np.sin(2 * np.pi * tone * partial * time + rng.uniform(0, 6)) / partial**1.5
                out[at : at + len(time)] += 0.25 * wave * shape
    step = SAMPLE_RATE // 4
    time = np.arange(step) / SAMPLE_RATE
    for beat, at in enumerate(range(0, samples, step)):
        hit = 0.15 * rng.standard_normal(step) * np.exp(-60 * time)
        if beat % 4 == 0:
            hit += 1.2 * np.sin(2 * np.pi * (50 + 90 * np.exp(-40 * time)) * time) * np.exp(-14 * time)
        elif beat % 4 == 2:
            hit += 0.6 * rng.standard_normal(step) * np.exp(-18 * time)
        lead = 440 * 2 ** (rng.choice([0, 3, 5, 7, 10, 12]) / 12)
        hit += 0.2 * np.sign(np.sin(2 * np.pi * lead * time)) * np.exp(-5 * time)
        out[at : at + step] += hit
    return out[:samples]


def crowd(samples: int, seed: int = 2, voices: int = 12) -> np.ndarray:
    """The sample's two voices backwards, many times over at several speeds: speech without words."""
    rng = np.random.default_rng(seed)
    out = np.zeros(samples, np.float32)
    pool = []
    for name in ("anna.flac", "tom.flac"):
        voice = load(TRUTH / name)
        pool.append(voice[np.abs(voice) > 1e-3][::-1])
    for _ in range(voices):
        voice = pool[rng.integers(len(pool))]
        faster = resample(voice, round(SAMPLE_RATE * rng.uniform(0.85, 1.2)), SAMPLE_RATE)
        out += np.roll(np.resize(faster, samples), int(rng.integers(samples))) * np.float32(rng.uniform(0.5, 1))
    return out


def effects(samples: int, folder: Path, seed: int = 3) -> np.ndarray:
    """Recordings of ESC-10, a new one every four seconds, all equally loud."""
    rng = np.random.default_rng(seed)
    files = sorted(folder.rglob("*.ogg"))
    out = np.zeros(samples + 6 * SAMPLE_RATE, np.float32)
    for at in range(0, samples, 4 * SAMPLE_RATE):
        sound = load(files[rng.integers(len(files))])[: 6 * SAMPLE_RATE]
        out[at : at + len(sound)] += sound * np.float32(0.1 / max(rms(sound), 1e-4))
    return out[:samples]


def bed(samples: int) -> np.ndarray:
    """The sample's own music, rain and steps."""
    return np.resize(load(TRUTH / "background.ogg"), samples)


def mixed(speech: np.ndarray, noise: np.ndarray, ratio_db: float) -> np.ndarray:
    """Speech and noise; the ratio is that of their levels where somebody speaks. Never above full scale."""
    level = rms(speech[np.abs(speech) > 1e-3])
    mix = speech + noise * np.float32(level / rms(noise) * 10 ** (-ratio_db / 20))
    return mix / np.float32(max(1.0, float(np.abs(mix).max())))
