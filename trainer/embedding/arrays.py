"""Arrays that people give to an encoder: brought to the shape that its towers take, or refused by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.audio.signal import resample
from shared.core.errors import UsageError
from trainer.recipe import VideoSettings

WHOLE = 32_768.0
"""What 16-bit samples are divided by."""


def as_waves(waves: np.ndarray | Sequence[np.ndarray], length: int, rate: int, given: int | None = None) -> np.ndarray:
    """Sounds as float32 ``[B, length]``: cut to the first ``length`` samples, or filled up with zeros.

    Args:
        waves: ``[B, N]``, one sound ``[N]``, or a list of sounds of any lengths; mono, float in −1 to 1 or int16.
        length: Samples at ``rate``.
        rate: Of the result, Hz.
        given: Of ``waves``, Hz; ``rate`` when absent.

    Raises:
        UsageError: ``bad_waves``.
    """
    sounds = list(waves) if isinstance(waves, list | tuple) or np.ndim(waves) == 2 else [waves]
    fitted = np.zeros((len(sounds), length), np.float32)
    for place, sound in enumerate(sounds):
        wave = as_wave(np.asarray(sound))
        if given is not None and given != rate:
            if given <= 0:
                raise refused_waves(f"a sample rate of {given} Hz")
            # As many as the window needs, and what the filter looks ahead.
            wave = resample(wave[: -(-(length + rate) * given // rate)], given, rate)
        fitted[place, : len(wave)] = wave[:length]
    return fitted


def as_wave(sound: np.ndarray) -> np.ndarray:
    """One mono sound as float32 ``[N]``."""
    if sound.ndim != 1:
        raise refused_waves(f"a sound of shape {list(sound.shape)}")
    if sound.dtype == np.int16:
        return (sound / WHOLE).astype(np.float32)
    if not np.issubdtype(sound.dtype, np.floating):
        raise refused_waves(f"samples of type {sound.dtype}")
    if not np.isfinite(sound).all():
        raise refused_waves("samples that are no numbers")
    return sound.astype(np.float32, copy=False)


def refused_waves(what: str) -> UsageError:
    return UsageError(
        "The encoder takes mono sounds, one [N], several [B, N] or a list of them, float in −1 to 1 or int16; "
        f"not {what}.",
        code="bad_waves",
    )


def as_clips(clips: np.ndarray, settings: VideoSettings) -> np.ndarray:
    """Clips as ``[B, T, H, W, 3]``, of the recipe's frames and size.

    Args:
        clips: The same, or one clip ``[T, H, W, 3]``; uint8, or float in 0 to 1.

    Raises:
        UsageError: ``bad_clips``.
    """
    clips = np.asarray(clips)
    shape = (settings.frames, settings.size, settings.size, 3)
    if clips.ndim == len(shape):
        clips = clips[None]
    if clips.shape[1:] != shape:
        raise refused_clips(shape, f"shape {list(clips.shape)}")
    if clips.dtype == np.uint8:
        return clips
    if not np.issubdtype(clips.dtype, np.floating):
        raise refused_clips(shape, f"values of type {clips.dtype}")
    if clips.size and not (np.min(clips) >= 0 and np.max(clips) <= 1):
        raise refused_clips(shape, "floats outside of 0 to 1")
    return clips.astype(np.float32, copy=False)


def refused_clips(shape: tuple[int, ...], what: str) -> UsageError:
    frames, height, width, _ = shape
    return UsageError(
        f"The encoder takes clips [B, {frames}, {height}, {width}, 3], RGB, uint8 or float in 0 to 1; not {what}.",
        code="bad_clips",
    )
