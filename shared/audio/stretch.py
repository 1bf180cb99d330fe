"""Tempo by Signalsmith Stretch, exact to the sample."""

from __future__ import annotations

import numpy as np

from shared.audio.signal import fit_length
from shared.records import SAMPLE_RATE


def stretch(audio: np.ndarray, samples: int, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Make mono ``audio`` exactly ``samples`` long, pitch unchanged."""
    if samples <= 0 or not audio.size:
        return np.zeros(max(samples, 0), np.float32)
    if samples == audio.size:
        return audio.astype(np.float32, copy=True)
    return fit_length(_process(audio, sample_rate, audio.size / samples), samples)


def _process(audio: np.ndarray, sample_rate: int, tempo: float) -> np.ndarray:
    from python_stretch import Signalsmith

    engine = Signalsmith.Stretch()
    engine.preset(1, sample_rate)
    engine.setTimeFactor(tempo)
    # Zeros keep the end of the sound out of the library's last, unfinished block.
    latency = engine.inputLatency() + engine.outputLatency()
    padded = np.pad(audio.astype(np.float32), (0, latency))
    return np.asarray(engine.process(padded[None]), np.float32)[0]
