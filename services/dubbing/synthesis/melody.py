"""The melody and loudness of a line: what the original does, and a dub that does likewise. Rules: docs/fitting.md."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shared.audio.pitch import FRAME_SECONDS, MIN_FRAMES, pitch_contour, smooth_contour
from shared.audio.signal import SPEECH_RATE, resample
from shared.core.records import SAMPLE_RATE
from shared.quality.prosody import RANGE_DB, level

SMOOTHING_SECONDS = 0.3
"""Syllables differ between languages; what phrases do is followed."""
STEP_SECONDS = 0.1
"""Between two values of a melody."""
FARTHEST_SEMITONES = 12.0
"""From the speaker's median; what lies farther is a mistake of an octave."""
LEVEL_SHARE, LEVEL_LIMIT_DB = 0.7, 5.0
"""How much of the difference in level is made good, and at most."""


class Contour(NamedTuple):
    """Pitch of a line, a value each 16 ms from its onset: semitones from the speaker's median, NaN where unvoiced."""

    pitch: np.ndarray

    def melody(self, start: float, seconds: float) -> tuple[float, ...]:
        """The smooth pitch of a stretch, every 0.1 s; empty where hardly anything is voiced."""
        first, last = (round(time / FRAME_SECONDS) for time in (start, start + seconds))
        pitch = self.pitch[first:last]
        if np.isfinite(pitch).sum() < MIN_FRAMES:
            return ()
        # Where the dub is longer than the line, the last pitch is kept.
        pitch = np.pad(pitch, (0, last - first - len(pitch)), constant_values=np.nan)
        slow = smooth_contour(pitch, round(SMOOTHING_SECONDS / FRAME_SECONDS))
        places = np.linspace(0, len(slow) - 1, max(2, round(seconds / STEP_SECONDS) + 1))
        return tuple(round(float(value), 2) for value in np.interp(places, np.arange(len(slow)), slow))


def line_contour(original: np.ndarray, median_hz: float | None) -> Contour:
    """Pitch of an original line.

    Args:
        original: Mono 48 kHz, from the line's onset.
        median_hz: Of the speaker; without it the line's own median is taken, and the line is neither high nor low.
    """
    pitch = pitch_contour(resample(original, SAMPLE_RATE, SPEECH_RATE))
    known = pitch[np.isfinite(pitch)]
    if not known.size:
        return Contour(pitch)
    semitones = 12 * np.log2(pitch / (median_hz or float(np.median(known))))
    return Contour(np.where(np.abs(semitones) <= FARTHEST_SEMITONES, semitones, np.nan))


def follow_level(speech: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Mono 48 kHz ``speech``, louder and softer where its original is; how loud it is on the whole stays.

    Args:
        original: Mono 48 kHz, from the same moment on.
    """
    one, other = (resample(sound, SAMPLE_RATE, SPEECH_RATE) for sound in (original, speech))
    count = min(len(one), len(other)) // round(FRAME_SECONDS * SPEECH_RATE)
    if count < MIN_FRAMES:
        return speech
    levels = [level(sound)[:count] for sound in (one, other)]
    both = (levels[0] > -RANGE_DB) & (levels[1] > -RANGE_DB)
    if both.sum() < MIN_FRAMES:
        return speech
    difference = np.where(both, levels[0] - levels[1], np.nan)
    slow = smooth_contour(difference - np.nanmedian(difference), round(SMOOTHING_SECONDS / FRAME_SECONDS))
    gain = np.clip(LEVEL_SHARE * slow, -LEVEL_LIMIT_DB, LEVEL_LIMIT_DB)
    places = np.arange(speech.size) / (FRAME_SECONDS * SAMPLE_RATE)
    return np.asarray(speech * 10 ** (np.interp(places, np.arange(count) + 0.5, gain) / 20), np.float32)
