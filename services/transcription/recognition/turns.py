"""One run of words, two people: split where the voice changes between sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.transcription.recognition.utterances import Heard, ends_sentence
from services.transcription.recognition.windows import cut
from shared.core.records import Span
from shared.engines.protocols import Embedder

MIN_SIDE_SECONDS = 1.0
"""Embeddings of less speech say little about whose it is."""
SMALL_PAUSE_SECONDS = 0.15
DIFFERENT_COSINE = 0.55
"""Measured with resemblyzer on pieces of 1.2 s: one person 0.66–0.88 (2–98 %), in films down to 0.55; two people
0.43–0.71."""


def by_voice(words: list[Heard], audio: np.ndarray, embedder: Embedder) -> list[list[Heard]]:
    """Split an utterance at sentence ends and small pauses whose two sides are clearly different voices.

    Args:
        words: In order, seconds on the clock of ``audio``.
        audio: Separated voice, mono 16 kHz.
    """
    best: tuple[float, int] | None = None
    for at in range(1, len(words)):
        before, after = words[at - 1].word, words[at].word
        if not ends_sentence(before.text) and after.start - before.end < SMALL_PAUSE_SECONDS:
            continue
        sides = [Span(start=words[0].word.start, end=before.end), Span(start=after.start, end=words[-1].word.end)]
        if min(side.end - side.start for side in sides) < MIN_SIDE_SECONDS:
            continue
        cosine = alike([cut(audio, side) for side in sides], embedder)
        if best is None or cosine < best[0]:
            best = (cosine, at)
    if best is None or best[0] >= DIFFERENT_COSINE:
        return [words]
    at = best[1]
    return by_voice(words[:at], audio, embedder) + by_voice(words[at:], audio, embedder)


def alike(sides: Sequence[np.ndarray], embedder: Embedder) -> float:
    """Cosine of two voices; 1 where one of them is silence, which proves nothing."""
    if any(not np.any(side) for side in sides):
        return 1.0
    first, second = (embedder.embed(side) for side in sides)
    return float(np.dot(first, second))
