"""The clock of given subtitles against the film's: a constant delay, another frame rate, or both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from shared.core.records import Span

STEP_SECONDS = 0.1
"""Resolution of the activities that are compared; delays are refined by the lines themselves later."""
MOST_DELAY_SECONDS = 600.0
FRAME_RATES = (24.0, 25.0, 24_000 / 1001)
RATES = tuple(
    sorted({round(film / file, 9) for film, file in product(FRAME_RATES, repeat=2)}, key=lambda rate: abs(rate - 1))
)
"""Film time ÷ file time, where a film was sped up and its subtitles were not; 1 first."""
LEAST_CORRELATION = 0.3
"""Pearson correlation of speech and cues below which another clock is not worth trying."""
BETTER = 0.1
"""What another clock's correlation must be above that of the file's own times to be tried."""
OTHER_RATE_COST = 0.05
"""Correlation that a stretched clock must gain over a moved one: in a short film all rates are alike."""
TRIED = 4
MOST_STEPS = 2_000_000
"""Longer than that (55 hours) no clock is looked for."""


class Clock(NamedTuple):
    """``film = rate · file + delay``, seconds."""

    rate: float = 1.0
    delay: float = 0.0

    def film(self, seconds: float) -> float:
        """The film's time of a time of the file."""
        return self.rate * seconds + self.delay

    @property
    def is_own(self) -> bool:
        return self == Clock()


def candidate_clocks(speech: Sequence[Span], cues: Sequence[Span]) -> list[Clock]:
    """The clocks worth trying, the file's own first.

    The activity of speech and of cues, 0 or 1 in steps of :data:`STEP_SECONDS`, is correlated at all delays (FFT) for
    each ratio of two usual frame rates.

    Args:
        speech: Spans of the title's lines.
        cues: Spans in which the cues are spoken, on the file's clock.
    """
    clocks = [Clock()]
    last = max((span.end for span in (*speech, *cues)), default=0.0) * max(RATES)
    if not speech or not cues or last / STEP_SECONDS > MOST_STEPS:
        return clocks
    size = int(last / STEP_SECONDS) + 2
    spoken = activity(speech, 1.0, size)
    most = min(int(MOST_DELAY_SECONDS / STEP_SECONDS), size - 1)
    transform = np.fft.rfft(spoken, 2 * size)
    ranked: list[tuple[float, Clock]] = []
    own = 0.0
    for rate in RATES:
        shown = activity(cues, rate, size)
        scale = float(np.linalg.norm(spoken) * np.linalg.norm(shown))
        if scale <= 0:
            return clocks
        correlation = np.fft.irfft(transform * np.conj(np.fft.rfft(shown, 2 * size)), 2 * size) / scale
        near = np.concatenate([correlation[-most:], correlation[: most + 1]])
        if rate == 1.0:
            own = float(correlation[0])
        best = int(np.argmax(near))
        value = float(near[best]) - OTHER_RATE_COST * (rate != 1)
        ranked.append((value, Clock(rate, (best - most) * STEP_SECONDS)))
    ranked.sort(key=lambda item: -item[0])
    worth = [clock for value, clock in ranked if value >= max(LEAST_CORRELATION, own + BETTER) and not clock.is_own]
    return clocks + worth[:TRIED]


def activity(spans: Sequence[Span], rate: float, size: int) -> np.ndarray:
    """1 where one of the spans is, 0 elsewhere, less its mean; ``[size]`` float64."""
    edges = np.zeros(size + 1)
    starts = np.clip([round(rate * span.start / STEP_SECONDS) for span in spans], 0, size)
    ends = np.clip([round(rate * span.end / STEP_SECONDS) for span in spans], 0, size)
    np.add.at(edges, starts, 1)
    np.add.at(edges, np.maximum(ends, starts), -1)
    level = (np.cumsum(edges)[:size] > 0).astype(np.float64)
    centred: np.ndarray = level - level.mean()
    return centred
