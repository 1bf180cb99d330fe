"""The recordings that the cinema is built from: ESC-10 as background, spoken digits as a test."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch

from shared.audio.signal import fit_length, resample, to_mono
from shared.core.errors import InputError
from trainer.frontend.mel import FLOOR, MelFrontEnd
from trainer.reproduce.cinema.speech import LEVEL, levelled
from trainer.reproduce.scale import SAMPLE_RATE, SHOT_SAMPLES

TAKES = 20
"""Of each digit and speaker that are used: 0–4 are the data set's test split, 5 and more train the probe."""
TEST_TAKES = 5
DIGIT_SAMPLES = 3 * SAMPLE_RATE
RANGE_DB = 50.0

WHERE = (
    "The miniature needs ESC-10 (CC BY 3.0) and the Free Spoken Digit Dataset (CC BY-SA 4.0), which do not come with "
    "it. Put them into one folder, as esc10/<class>/<fold>-<source>-<take>.ogg and spoken-digits/recordings/"
    "<digit>_<speaker>_<take>.wav, and name it with --data or COUNTERDUB_DATA."
)


class Clips(NamedTuple):
    """Background sounds: int16 ``[N, 80000]``; class, fold and source recording of each ``[N]``."""

    samples: np.ndarray
    label: np.ndarray
    fold: np.ndarray
    source: np.ndarray

    def wave(self, number: int) -> np.ndarray:
        return np.asarray(self.samples[number], np.float32) / 32768


def material(given: Path | None = None) -> Path:
    """The folder of the recordings.

    Raises:
        InputError: ``no_material``, saying what belongs where.
    """
    place = given or Path(os.environ.get("COUNTERDUB_DATA") or Path("..") / "shared" / "data")
    if not any((place / "esc10").glob("*/*.ogg")) or not any((place / "spoken-digits").rglob("*_*_*.wav")):
        raise InputError(WHERE, code="no_material")
    return place


def read_clips(place: Path) -> Clips:
    """All of ESC-10 at 16 kHz, :data:`trainer.reproduce.cinema.speech.LEVEL` loud where there is sound.

    Raises:
        InputError: ``bad_audio``.
    """
    rows = []
    for label, folder in enumerate(sorted(path for path in (place / "esc10").iterdir() if path.is_dir())):
        for file in sorted(folder.glob("*.ogg")):
            fold, source, _ = file.stem.split("-", 2)
            rows.append((levelled(fit_length(read_sound(file), SHOT_SAMPLES)), label, int(fold), f"{fold}-{source}"))
    waves, labels, folds, sources = zip(*rows, strict=True)
    samples = (np.clip(np.stack(waves), -1, 1) * 32767).astype(np.int16)
    return Clips(samples, np.array(labels), np.array(folds), np.array(sources))


def read_sound(file: Path) -> np.ndarray:
    """Mono float32 at 16 kHz."""
    try:
        wave, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"“{file.name}” cannot be read.", code="bad_audio") from error
    return resample(to_mono(wave.T), rate, SAMPLE_RATE)


def read_digits(place: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Spoken digits, said again and again for 3 s: float32 ``[N, 48000]``, digit, speaker and take of each ``[N]``."""
    rows = []
    for file in sorted((place / "spoken-digits").rglob("*.wav")):
        match = re.fullmatch(r"(\d)_(\w+)_(\d+)", file.stem)
        if match and int(match[3]) < TAKES:
            wave = np.resize(read_sound(file), DIGIT_SAMPLES)
            rows.append((wave, int(match[1]), match[2], int(match[3])))
    waves, digits, speakers, takes = zip(*rows, strict=True)
    return np.stack(waves), np.array(digits), np.unique(speakers, return_inverse=True)[1], np.array(takes)


def mels(waves: np.ndarray, front: MelFrontEnd) -> np.ndarray:
    """Power mels in dB, float16 ``[B, mels, frames]``, of waves ``[B, N]`` brought to the same RMS over all.

    Nothing is quieter than :data:`RANGE_DB` below a sound's mean: digital silence, which no recorded background has,
    would tell where a sound was filled up, and be far from all that a tower has met.
    """
    loud = np.sqrt(np.square(waves).mean(-1, keepdims=True))
    level = waves * (LEVEL / np.maximum(loud, 1e-6))
    with torch.inference_mode():
        power = front.power(torch.from_numpy(np.ascontiguousarray(level, np.float32))[:, None])[:, 0]
        least = power.mean((1, 2), keepdim=True).clamp_min(FLOOR) * 10 ** (-RANGE_DB / 10)
        return np.asarray((10 * torch.log10(torch.maximum(power, least))).numpy(), np.float16)
