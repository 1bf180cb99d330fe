"""A room for dry speech: reverberation time heard in the original, put on the dub by a synthetic impulse response."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from shared.audio.loudness import frame_powers
from shared.core.records import SAMPLE_RATE

FRAME_SECONDS = 0.02
MIN_DECAY_DB = 12.0
SHORTEST, LONGEST = 0.1, 1.0
WET_DB = -16.0
"""Energy of the room against the direct sound."""


def reverberation_time(audio: np.ndarray, sample_rate: int = SAMPLE_RATE) -> float | None:
    """RT60 in seconds from the free decays of mono speech; None when there are fewer than three.

    The steepest part of speech is its own release, so the estimate is the slow quarter of the decays, within 0.1–1 s.
    """
    levels = 10 * np.log10(frame_powers(np.atleast_2d(audio), sample_rate) + 1e-10)
    times, start = [], 0
    for index in range(1, len(levels) + 1):
        if index < len(levels) and levels[index] < levels[index - 1] and levels[index] > -80:
            continue
        drop, seconds = levels[start] - levels[index - 1], (index - 1 - start) * FRAME_SECONDS
        if drop >= MIN_DECAY_DB and seconds >= 3 * FRAME_SECONDS:
            times.append(60 * seconds / drop)
        start = index
    if len(times) < 3:
        return None
    return float(np.clip(np.percentile(times, 75), SHORTEST, LONGEST))


def add_room(audio: np.ndarray, like: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Mono ``audio`` in a room that decays like the speech ``like``; length kept, so the last tail is cut.

    The impulse response is decaying noise with a fixed seed: the same input gives the same output.
    """
    seconds = reverberation_time(like, sample_rate)
    if seconds is None or not audio.size:
        return audio
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    noise = np.random.default_rng(0).standard_normal(time.size) * 10 ** (-3 * time / seconds)
    noise[: int(0.002 * sample_rate)] = 0.0
    wet = noise * 10 ** (WET_DB / 20) / np.sqrt(np.square(noise).sum())
    wet[0] = 1.0
    return np.asarray(fftconvolve(audio, wet)[: audio.size], np.float32)
