"""From raw speech to speech in its place: trim, bandwidth, loudness, panning, fades. Dubs and control share it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.signal import fftconvolve, firwin

from shared.audio.loudness import frame_powers, gain_to, speech_loudness
from shared.audio.signal import fade
from shared.core.records import SAMPLE_RATE

FADE_SECONDS = 0.01
TRIM_BELOW_PEAK_DB = 40.0
TRIM_MARGIN_SECONDS = 0.02
FIR_TAPS = 511
CEILING = 0.98
"""Peak of one line; 24-bit FLAC clips at 1."""


class Finished(NamedTuple):
    """A line ready to be added to the speech track."""

    audio: np.ndarray
    """``[channels, samples]`` at 48 kHz."""
    loudness: float | None
    """LUFS of its active frames."""
    source_loudness: float | None


def active_range(audio: np.ndarray, sample_rate: int, below_peak_db: float = TRIM_BELOW_PEAK_DB) -> tuple[int, int]:
    """First and last sample (exclusive) that are not silence at the ends; ``(0, 0)`` when all is silent."""
    powers = frame_powers(np.atleast_2d(audio), sample_rate)
    if not powers.size or powers.max() <= 1e-10:
        return 0, 0
    (loud,) = np.nonzero(powers > powers.max() * 10 ** (-below_peak_db / 10))
    size = audio.shape[-1] if len(powers) == 1 else int(0.02 * sample_rate)
    margin = int(TRIM_MARGIN_SECONDS * sample_rate)
    return max(0, loud[0] * size - margin), min(audio.shape[-1], (loud[-1] + 1) * size + margin)


def trim(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Without the silence at both ends, which synthesisers add at will."""
    first, last = active_range(audio, sample_rate)
    return audio[..., first:last]


@lru_cache(maxsize=4)
def low_pass(cutoff: int) -> np.ndarray:
    return np.asarray(firwin(FIR_TAPS, min(cutoff, SAMPLE_RATE // 2 - 100), fs=SAMPLE_RATE))


def limit_bandwidth(audio: np.ndarray, cutoff: int) -> np.ndarray:
    """Linear-phase low pass of mono 48 kHz audio, delay taken out, length kept."""
    if cutoff >= SAMPLE_RATE // 2:
        return audio
    filtered = fftconvolve(audio, low_pass(cutoff), mode="full")
    return np.asarray(filtered[FIR_TAPS // 2 :][: audio.size], np.float32)


def panning(original: np.ndarray) -> np.ndarray:
    """Gain of every channel as the original line has its energy there, ``[channels]``, squares summing to 1."""
    energy = np.square(original, dtype=np.float64).sum(axis=1)
    if energy.sum() <= 1e-9:
        energy = np.ones(original.shape[0])
    shares: np.ndarray = np.sqrt(energy / energy.sum())
    return shares


def finish(speech: np.ndarray, original: np.ndarray, bandwidth_hz: int, fallback: float | None = None) -> Finished:
    """Give mono ``speech`` the bandwidth, channels and loudness it must have.

    Args:
        speech: Mono 48 kHz.
        original: The original line in the vocals, ``[channels, samples]``.
        fallback: Loudness to aim at when the original is silent there, LUFS.
    """
    limited = limit_bandwidth(speech, bandwidth_hz)
    spread = limited[None] * panning(original)[:, None].astype(np.float32)
    source = speech_loudness(original)
    gain = gain_to(speech_loudness(spread), source if source is not None else fallback)
    peak = float(np.abs(spread).max(initial=0.0))
    spread = fade(spread * np.float32(min(gain, CEILING / peak if peak else gain)), FADE_SECONDS)
    return Finished(spread, speech_loudness(spread), source)


def add(track: np.ndarray, audio: np.ndarray, start: int) -> None:
    """Sum ``audio`` into ``track`` in place from sample ``start``; what lies outside the track is left out."""
    first, last = max(start, 0), min(start + audio.shape[1], track.shape[1])
    if last > first:
        track[:, first:last] += audio[:, first - start : last - start]
