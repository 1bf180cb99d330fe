"""A bank of tones and noise that needs neither a synthesiser nor recordings, and a small world made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainer.reproduce.cinema.sounds import Clips
from trainer.reproduce.cinema.speech import SLOTS, VOICES, SentenceBank
from trainer.reproduce.cinema.words import LANGUAGES
from trainer.reproduce.cinema.world import make_world
from trainer.reproduce.processes import front_end
from trainer.reproduce.scale import SAMPLE_RATE, SMOKE, World

SCALE = SMOKE._replace(titles=9, shots=8, probe_titles=6, test_titles=4, separator="none", steps=4)
WORLD = World(1, 5)


def bank() -> SentenceBank:
    """Two pulsing tones for every voice, language and length; Kokoro's voices too."""
    keys = [
        (v, n, s) for v in range(len(VOICES)) for n in range(len(LANGUAGES)) for s in range(len(SLOTS)) for _ in "ab"
    ]
    voice, language, slot = (np.array(column) for column in zip(*keys, strict=True))
    length = np.array([round(SLOTS[s] * SAMPLE_RATE) for s in slot])
    waves = []
    for number, count in enumerate(length):
        time = np.arange(count) / SAMPLE_RATE
        waves.append(0.1 * np.sin(2 * np.pi * (150 + 3 * number) * time) * (time * 3 % 1 < 0.5))
    samples = (np.concatenate(waves) * 32767).astype(np.int16)
    return SentenceBank(samples, np.cumsum(np.r_[0, length[:-1]]), length, voice, language, slot)


def clips() -> Clips:
    """Ten classes of noise in five folds, two clips each; every clip is a recording of its own."""
    random = np.random.default_rng(0)
    label, fold = np.repeat(np.arange(10), 10), np.tile(np.repeat(np.arange(1, 6), 2), 10)
    samples = np.empty((100, 80_000), np.int16)
    for number in range(100):
        wave = np.repeat(random.standard_normal(80_000 // (1 + label[number])), 1 + label[number])
        samples[number] = np.resize(wave, 80_000) * 1500
    return Clips(samples, label, fold, np.array([f"{of}-{number}" for number, of in enumerate(fold)]))


def world(folder: Path) -> Path:
    folder.mkdir()
    make_world(folder, WORLD, SCALE, bank(), clips(), front_end())
    return folder
