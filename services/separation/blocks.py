"""Separation of a long range by short blocks, so that memory does not grow with the range."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np

from shared.audio.files import length, read_audio
from shared.core.errors import EngineError
from shared.core.records import SAMPLE_RATE
from shared.engines.protocols import Separator

BLOCK_SECONDS = 60
SEAM = SAMPLE_RATE // 100
"""Samples to either side of a seam over which one block fades into the next."""


def edges(start: int, stop: int, largest: int = BLOCK_SECONDS * SAMPLE_RATE) -> list[int]:
    """Ends of equal blocks of at most ``largest`` samples, ``start`` and ``stop`` included."""
    count = max(1, ceil((stop - start) / largest))
    return [start + (stop - start) * index // count for index in range(count + 1)]


def separate(
    vocals_of: Callable[[np.ndarray], np.ndarray],
    read_audio: Callable[[int, int], np.ndarray],
    start: int,
    stop: int,
    total: int,
    *,
    context: int,
    largest: int = BLOCK_SECONDS * SAMPLE_RATE,
) -> Iterator[np.ndarray]:
    """The speech of samples ``[start, stop)`` in consecutive pieces ``[channels, n]``.

    Args:
        vocals_of: An engine's ``vocals``: the speech of a mix, same shape.
        read_audio: Gives samples ``[first, last)`` of the mix, ``[channels, samples]``.
        total: Samples of the mix; nothing is read beyond.
        context: Samples that the model hears before and after every block, at least :data:`SEAM`.

    Raises:
        EngineError: ``bad_engine_output`` when the model returns another shape than it was given.
    """
    ends = edges(start, stop, largest)
    context = max(context, SEAM)
    rise = ((np.arange(2 * SEAM, dtype=np.float32) + 0.5) / (2 * SEAM)).astype(np.float32)
    tail: np.ndarray | None = None
    for low, high in pairwise(ends):
        first, last = max(0, low - context), min(total, high + context)
        mix = read_audio(first, last)
        vocals = vocals_of(mix)
        if vocals.shape != mix.shape:
            raise EngineError(
                f"The separator returned {vocals.shape} samples for {mix.shape}.", code="bad_engine_output"
            )
        begin = low if tail is None else low - SEAM
        end = high if high == stop else high + SEAM
        piece = vocals[:, begin - first : end - first].astype(np.float32, copy=True)
        if tail is not None:
            piece[:, : 2 * SEAM] = tail * (1 - rise) + piece[:, : 2 * SEAM] * rise
        if high == stop:
            yield piece
        else:
            tail = piece[:, -2 * SEAM :]
            yield piece[:, : -2 * SEAM]


def separate_file(
    separator: Separator, mix: Path, start: int, stop: int, *, context_seconds: float
) -> Iterator[np.ndarray]:
    """:func:`separate` on a range of a sound file at 48 kHz."""
    total, _ = length(mix)
    context = round(context_seconds * SAMPLE_RATE)
    return separate(
        separator.vocals, lambda first, last: read_audio(mix, first, last), start, stop, total, context=context
    )
