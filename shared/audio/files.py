"""Reading and writing 24-bit FLAC by ranges, so that no title is ever whole in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile as sf

from shared.core.errors import InputError
from shared.core.records import SAMPLE_RATE

FULL_SCALE = 2**23
"""24-bit steps in 1.0: float32 holds every one of them exactly."""


def quantise(audio: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """``audio · gain`` rounded to 24-bit steps, clipped to full scale: int32, same shape."""
    steps = np.rint(audio.astype(np.float64) * (gain * FULL_SCALE))
    return np.clip(steps, -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)


def length(path: Path) -> tuple[int, int]:
    """Samples and channels of a sound file.

    Raises:
        InputError: ``bad_audio`` when the file is not readable as sound.
    """
    try:
        info = sf.info(str(path))
    except sf.LibsndfileError as error:
        raise unreadable(error) from error
    return info.frames, info.channels


def read_audio(path: Path, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Samples ``[start, stop)`` as ``[channels, samples]`` float32, whatever the file's sample rate.

    Raises:
        InputError: ``bad_audio`` when the file is not readable as sound.
    """
    try:
        data, _ = sf.read(str(path), start=start, stop=stop, dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise unreadable(error) from error
    return np.ascontiguousarray(data.T)


def unreadable(error: sf.LibsndfileError) -> InputError:
    """Without the path, which libsndfile's own words have."""
    return InputError(f"A sound file cannot be read: {error.error_string.rstrip('.')}.", code="bad_audio")


def blocks(path: Path, size: int = 10 * SAMPLE_RATE) -> Iterator[tuple[int, np.ndarray]]:
    """``(start, [channels, ≤ size])`` over the whole file.

    Raises:
        InputError: ``bad_audio`` when the file is not readable as sound.
    """
    start = 0
    try:
        for block in sf.blocks(str(path), blocksize=size, dtype="float32", always_2d=True):
            yield start, np.ascontiguousarray(block.T)
            start += len(block)
    except sf.LibsndfileError as error:
        raise unreadable(error) from error


class FlacWriter:
    """Append ``[channels, samples]`` to a 24-bit FLAC; use as a context manager.

    Args:
        comment: What the file says of itself; it stands before the first sample.
    """

    def __init__(self, path: Path, channels: int, sample_rate: int = SAMPLE_RATE, comment: str | None = None) -> None:
        self.samples = 0
        self._file = sf.SoundFile(
            str(path),
            "w",
            samplerate=sample_rate,
            channels=channels,
            format="FLAC",
            subtype="PCM_24",
            # libsndfile's default effort is the slowest of the useful ones; sizes differ by about 3 %.
            compression_level=0.3,
        )
        if comment is not None:
            self._file.comment = comment

    def write(self, audio: np.ndarray) -> None:
        """Append float samples, or int32 24-bit steps as :func:`quantise` makes them."""
        audio = np.atleast_2d(audio)
        # libsndfile would scale floats by 2²³ − 1 yet reads them back by 2²³; whole steps survive a round trip exactly.
        steps = audio if audio.dtype == np.int32 else quantise(audio)
        self._file.write(np.ascontiguousarray(steps.T) << 8)
        self.samples += audio.shape[1]

    def __enter__(self) -> FlacWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def write(path: Path, audio: np.ndarray, sample_rate: int = SAMPLE_RATE) -> Path:
    """Write a whole array, ``[samples]`` or ``[channels, samples]``, as 24-bit FLAC."""
    audio = np.atleast_2d(audio)
    with FlacWriter(path, audio.shape[0], sample_rate) as out:
        out.write(audio)
    return path
