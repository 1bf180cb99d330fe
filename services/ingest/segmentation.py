"""From cuts to shots, and from shots to chunks: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from shared.core.records import SAMPLE_RATE, Chunk, Shot, Span

USUAL_RATE, FILM_RATE = 35.0, 25.0


def shortest_shot(frames: int, fps: float) -> float:
    """Seconds of a number of frames; in faster films than usual, of frames of 1/25 s: their flashes are no shorter."""
    return frames / (fps if fps <= USUAL_RATE else FILM_RATE)


def shots_between(cuts: Sequence[float], end: float, shortest: float) -> list[Shot]:
    """Shots that cover ``[0, end]`` seconds without gaps.

    Args:
        cuts: Times of camera changes on the title's clock.
        end: Of the picture.
        shortest: Seconds; what is shorter is a flash and goes to the shot before it, or at the start to the one after.
    """
    starts = [0.0]
    # Half a millisecond of slack: the length of a frame is not a round number.
    least = shortest - 5e-4
    for cut in sorted(cuts):
        if cut - starts[-1] >= least and end - cut >= least:
            starts.append(cut)
    return [
        Shot(index=index, start=start, end=stop)
        for index, (start, stop) in enumerate(zip(starts, [*starts[1:], end], strict=True))
    ]


def chunks_of(samples: int, shots: Sequence[Shot], speech: Sequence[Span], seconds: float) -> list[Chunk]:
    """Cut a master into chunks of about ``seconds``: contiguous, covering ``[0, samples)``.

    A chunk ends at the shot boundary nearest to the aim where nobody speaks, within half the aim of it; failing that in
    the middle of the longest pause of speech; failing that at the aim itself. So every chunk has 0.5 to 1.5 times
    ``seconds``, a shorter title one chunk.

    Args:
        speech: Increasing and disjoint.
    """
    edges = [0.0]
    total = samples / SAMPLE_RATE
    while total - edges[-1] > 1.5 * seconds:
        low, aim, high = (edges[-1] + share * seconds for share in (0.5, 1.0, 1.5))
        quiet = pauses(speech, low, high)
        silent = [
            shot.start
            for shot in shots
            if low <= shot.start <= high and any(pause.start <= shot.start <= pause.end for pause in quiet)
        ]
        if silent:
            edges.append(min(silent, key=lambda time: abs(time - aim)))
        elif quiet:
            longest = max(quiet, key=lambda pause: pause.end - pause.start)
            edges.append((longest.start + longest.end) / 2)
        else:
            edges.append(aim)
    bounds = [*(round(edge * SAMPLE_RATE) for edge in edges), samples]
    return [Chunk(index=index, start=start, end=end) for index, (start, end) in enumerate(pairwise(bounds))]


def pauses(speech: Sequence[Span], low: float, high: float) -> list[Span]:
    """Where nobody speaks within ``[low, high]``."""
    silences = []
    position = low
    for span in speech:
        if span.end <= low or span.start >= high:
            continue
        if span.start > position:
            silences.append(Span(start=position, end=span.start))
        position = max(position, span.end)
    if position < high:
        silences.append(Span(start=position, end=high))
    return silences
