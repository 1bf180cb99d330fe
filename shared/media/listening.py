"""Sound that people listen to, put together by pydub: auditions, single lines, what engines that clone are shown.

Tracks and stems never come this way: pydub counts in 16 bits, and they are float32 arrays. It is encoded by
:mod:`shared.media.sound_formats`, with the FFmpeg of PyAV's wheel. pydub's own calls of a program ``ffmpeg`` are not
used: they have no time limit, need ``ffprobe`` beside it, and open whatever protocols that program knows.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.audio.files import read_audio
from shared.core.records import SAMPLE_RATE, AuditionPiece

# pydub looks for its programs when it is imported, and fails where there is no PATH, as under some supervisors.
os.environ.setdefault("PATH", os.defpath)
with warnings.catch_warnings():
    # It misses a program “ffmpeg”, which nobody here calls, and tells of audioop, which is a wheel from Python 3.13 on.
    warnings.simplefilter("ignore")
    from pydub import AudioSegment
    from pydub.silence import detect_leading_silence

LEVEL_DBFS = -20.0
"""RMS of every piece of a reel: nearness is judged, not loudness."""
HEADROOM_DB = 1.0
FADE_MS, GAP_MS = 15, 600
SILENT_BELOW_DB = 40.0
"""Under a piece's own peak; what is quieter at its ends is cut off."""


def segment(audio: np.ndarray, rate: int = SAMPLE_RATE) -> AudioSegment:
    """``[samples]`` or ``[channels, samples]`` float32 as 16-bit sound of pydub."""
    samples = np.atleast_2d(audio)
    whole = np.rint(np.clip(samples, -1, 1) * 32_767).astype("<i2")
    return AudioSegment(whole.T.tobytes(), sample_width=2, frame_rate=rate, channels=samples.shape[0])


def samples_of(sound: AudioSegment) -> np.ndarray:
    """What :func:`segment` was given: ``[channels, samples]`` float32."""
    whole = np.frombuffer(sound.raw_data, "<i2").reshape(-1, sound.channels)
    return np.ascontiguousarray(whole.T.astype(np.float32) / 32_767)


def trimmed(sound: AudioSegment) -> AudioSegment:
    """Without the silence at both ends; empty when there is nothing else."""
    silent = sound.max_dBFS - SILENT_BELOW_DB
    if silent == float("-inf"):
        return sound[:0]
    first = detect_leading_silence(sound, silence_threshold=silent)
    last = detect_leading_silence(sound.reverse(), silence_threshold=silent)
    return sound[first : len(sound) - last]


def levelled(sound: AudioSegment, level_dbfs: float = LEVEL_DBFS) -> AudioSegment:
    """At an RMS of ``level_dbfs``, or as near as its peak allows."""
    return sound.apply_gain(min(level_dbfs - sound.dBFS, -HEADROOM_DB - sound.max_dBFS))


def join(
    sounds: Sequence[AudioSegment], *, gap_ms: int = GAP_MS, fade_ms: int = FADE_MS, level_dbfs: float = LEVEL_DBFS
) -> AudioSegment:
    """Sounds one after another at one level, with soft edges and silence between; those without sound are left out.

    All have one sample rate and one number of channels.
    """
    heard = [piece for sound in sounds if len(piece := trimmed(sound))]
    if not heard:
        return AudioSegment.empty()
    gap = AudioSegment.silent(gap_ms, heard[0].frame_rate).set_channels(heard[0].channels)
    joined = heard[0][:0]
    for number, piece in enumerate(heard):
        edge = min(fade_ms, len(piece) // 2)
        soft = levelled(piece, level_dbfs).fade_in(edge).fade_out(edge)
        joined = joined + gap + soft if number else soft
    return joined


def audition_reel(path: Path, pieces: Sequence[AuditionPiece], speaker: str) -> np.ndarray:
    """A speaker's own line, the chosen voice and the others, with silence between: ``[1, samples]``, 48 kHz.

    Args:
        path: ``audition.flac`` of a language.
        pieces: What is where in it.
    """
    own = [segment(read_audio(path, piece.start, piece.end)) for piece in pieces if piece.speaker == speaker]
    return samples_of(join(own))


AROUND_SECONDS = 0.25
"""Heard before and after a line that is cut out of a track."""
EDGE_MS = 20


def line_sound(path: Path, start: float, end: float) -> np.ndarray:
    """A line cut out of a track with a little of what is around it and soft edges: ``[channels, samples]``, 48 kHz.

    Args:
        start: Seconds on the title's clock; ``end`` too.
    """
    first, last = max(0.0, start - AROUND_SECONDS), end + AROUND_SECONDS
    sound = segment(read_audio(path, round(first * SAMPLE_RATE), round(last * SAMPLE_RATE)))
    edge = min(EDGE_MS, len(sound) // 2)
    return samples_of(sound.fade_in(edge).fade_out(edge))
