"""A window of a track."""

from __future__ import annotations

import io

import numpy as np
import soundfile as sf
import soxr

from shared.core.errors import InputError
from shared.core.records import SAMPLE_RATE


def decode_window(data: bytes, start: int, count: int, channels: int, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """``count`` samples at 48 kHz from sample ``start`` of a FLAC, as int16 ``[channels, N]`` at ``sample_rate``.

    Stereo becomes one channel by its mean, one channel becomes two alike.

    Raises:
        InputError: ``bad_sound`` when they cannot be decoded, ``short_sound`` when the track ends before.
    """
    try:
        with sf.SoundFile(io.BytesIO(data)) as file:
            file.seek(start)
            wave = file.read(count, dtype="int16", always_2d=True)
    except (sf.LibsndfileError, RuntimeError, ValueError) as error:
        raise InputError(f"The sound of a shard cannot be decoded: {error}.", code="bad_sound") from error
    if len(wave) < count:
        raise InputError("A track of a shard ends before its picture.", code="short_sound")
    if channels == 1 and wave.shape[1] > 1:
        wave = np.rint(wave.mean(axis=1, keepdims=True, dtype=np.float32)).astype(np.int16)
    if sample_rate != SAMPLE_RATE:
        wave = soxr.resample(wave, SAMPLE_RATE, sample_rate)
    return np.broadcast_to(wave.T[:channels], (channels, len(wave)))
