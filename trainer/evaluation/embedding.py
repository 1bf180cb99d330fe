"""Embeddings of whole sounds and of moments in them, many windows at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import soundfile as sf
import soxr

from shared.core.errors import InputError
from trainer.evaluation.cache import EmbeddingCache, file_digest
from trainer.frontend.windows import audio_windows

HOP_MS = 50.0
"""Between two timestamps; HEAR asks for 50 ms or less, since its narrowest collar is 50 ms."""
BATCH = 16
"""Windows given to the encoder at a time. Spectrograms of 64 no longer fit a CPU's cache and take 1.6 times as long."""
MAX_SECONDS = 3600
"""Longer sounds are refused: no task has such, and one would fill the memory."""
VERSION = "1"
"""Raise it when the same file and checkpoint would give another embedding."""

Progress = Callable[[int], None]
"""Told how many clips are done since the last call."""


class AudioEncoder(Protocol):
    """What is evaluated: :class:`trainer.encoder.Encoder`, or a baseline."""

    id: str
    sample_rate: int
    seconds: float
    """Window that it takes; infinite for one that takes sounds whole."""
    audio_size: int

    def audio(self, waves: np.ndarray) -> np.ndarray:
        """float32 ``[B, N]`` at :attr:`sample_rate` → float32 ``[B, audio_size]``; shorter than a window is padded."""
        ...


class Embedded(NamedTuple):
    """Embeddings of files: one row a file (scene), or rows of moments with their times in milliseconds (event)."""

    rows: list[np.ndarray]
    timestamps: list[np.ndarray]
    digests: list[str]
    computed: int
    """Files that the encoder worked on; the others were found, or are the same as another."""


def scenes(encoder: AudioEncoder, waves: Sequence[np.ndarray], batch: int = BATCH) -> np.ndarray:
    """One embedding a sound: the mean over its windows, as the reference cuts them.

    Args:
        encoder: Who embeds.
        waves: float32 ``[samples]`` each, at the encoder's sample rate.
        batch: Windows at a time.

    Returns:
        float32 ``[sounds, audio_size]``.
    """
    total = np.zeros((len(waves), encoder.audio_size), dtype=np.float64)
    if not np.isfinite(encoder.seconds):
        for index, wave in enumerate(waves):
            total[index] = encoder.audio(wave[None])[0]
        return total.astype(np.float32)
    cut = [
        (index, start, end)
        for index, wave in enumerate(waves)
        for start, end in audio_windows(len(wave), encoder.sample_rate, encoder.seconds)
    ]
    length = int(encoder.sample_rate * encoder.seconds)
    for first in range(0, len(cut), batch):
        part = cut[first : first + batch]
        block = np.zeros((len(part), length), dtype=np.float32)
        for row, (index, start, end) in zip(block, part, strict=True):
            row[: end - start] = waves[index][start:end]
        np.add.at(total, [index for index, _, _ in part], encoder.audio(block))
    windows = np.bincount([index for index, _, _ in cut], minlength=len(waves))
    return (total / windows[:, None]).astype(np.float32)


def moments(
    encoder: AudioEncoder, wave: np.ndarray, hop_ms: float = HOP_MS, batch: int = BATCH
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of one sound every ``hop_ms``, each of the window centred there (zeros beyond the ends).

    Returns:
        float32 ``[timestamps, audio_size]`` and the timestamps in milliseconds, float32 ``[timestamps]``.
    """
    seconds = encoder.seconds if np.isfinite(encoder.seconds) else 1.0
    length = int(encoder.sample_rate * seconds)
    # Equal steps exactly: timestamps are rounded to samples only when windows are cut.
    timestamps = np.arange(0.0, len(wave) / encoder.sample_rate * 1000, hop_ms)
    starts = np.rint(timestamps * encoder.sample_rate / 1000).astype(int)
    padded = np.pad(wave, (length // 2, length))
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)
    rows = [encoder.audio(windows[starts[at : at + batch]].copy()) for at in range(0, len(starts), batch)]
    return np.concatenate(rows).astype(np.float32), timestamps.astype(np.float32)


def read_wave(path: Path, sample_rate: int) -> np.ndarray:
    """A sound file as mono float32 ``[samples]`` at ``sample_rate``.

    Raises:
        InputError: ``bad_audio`` if it cannot be read, ``too_long`` beyond an hour, ``empty_file`` without samples.
    """
    try:
        info = sf.info(str(path))
        if info.frames > MAX_SECONDS * info.samplerate:
            raise InputError(f"“{path.name}” is longer than an hour.", code="too_long")
        data, rate = sf.read(str(path), dtype="float32", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        raise InputError(f"“{path.name}” cannot be read as sound: {error.args[-1]}.", code="bad_audio") from error
    if not len(data):
        raise InputError(f"“{path.name}” has no samples.", code="empty_file")
    wave: np.ndarray = data.mean(axis=1)
    if rate != sample_rate:
        wave = soxr.resample(wave, rate, sample_rate).astype(np.float32)
    return wave


def embed_files(
    encoder: AudioEncoder,
    files: Sequence[Path],
    cache: EmbeddingCache,
    *,
    events: bool = False,
    progress: Progress = lambda done: None,
    batch: int = BATCH,
) -> Embedded:
    """Embed files, each content once, whatever number of tasks and names it stands under.

    Raises:
        InputError: of :func:`read_wave`; what was embedded before it is kept.
    """
    kind = f"event {HOP_MS}" if events else "scene"
    digests = [file_digest(file) for file in files]
    keys = [hashlib.sha256(f"{VERSION} {encoder.id} {kind} {digest}".encode()).hexdigest() for digest in digests]
    place = dict(zip(reversed(keys), reversed(files), strict=True))
    cached = cache.get(place)
    times = Counter(keys)
    progress(sum(times[key] for key in cached))
    missing = [key for key in dict.fromkeys(keys) if key not in cached]
    for group in grouped(missing, 1 if events else max(1, batch // 2)):
        waves = [read_wave(place[key], encoder.sample_rate) for key in group]
        if events:
            rows, timestamps = moments(encoder, waves[0], batch=batch)
            # The times ride along as the last column.
            made = {group[0]: np.column_stack([rows, timestamps])}
        else:
            made = dict(zip(group, scenes(encoder, waves, batch), strict=True))
        cache.put(made)
        cached |= made
        progress(sum(times[key] for key in group))
    arrays = [cached[key] for key in keys]
    if events:
        return Embedded([a[:, :-1] for a in arrays], [a[:, -1] for a in arrays], digests, len(missing))
    return Embedded(arrays, [], digests, len(missing))


def grouped(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
