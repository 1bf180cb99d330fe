"""True peak after ITU-R BS.1770-4, annex 2: the highest level between the samples, by 4× oversampling."""

from __future__ import annotations

import numpy as np

from shared.audio.signal import decibels

# The 48-tap interpolation filter of the recommendation as four phases; the last two mirror the first two.
_FIRST = (
    0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
    0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
)  # fmt: skip
_SECOND = (
    -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
    0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip
PHASES = np.array([_FIRST, _SECOND, _SECOND[::-1], _FIRST[::-1]], dtype=np.float32)
TAPS = PHASES.shape[1]
BOUND = float(np.abs(PHASES).sum(axis=1).max())
"""No interpolated value exceeds the samples around it by more than this factor."""

SEGMENT = 4096


class TruePeak:
    """A running meter: add consecutive blocks, read :attr:`dbtp` at any time.

    Only segments that could exceed what was already found are oversampled; :data:`BOUND` makes that exact.
    """

    def __init__(self, channels: int) -> None:
        self._tail = np.zeros((channels, TAPS - 1), dtype=np.float32)
        self._peak = 0.0

    def add(self, audio: np.ndarray) -> None:
        """Hear the next ``[channels, samples]`` at 48 kHz."""
        joined = np.concatenate([self._tail, np.asarray(audio, dtype=np.float32)], axis=1)
        self._peak = max(self._peak, _highest(joined, self._peak))
        self._tail = joined[:, joined.shape[1] - (TAPS - 1) :]

    @property
    def peak(self) -> float:
        """Highest absolute value so far, linear; the signal is taken to end in silence."""
        ending = np.concatenate([self._tail, np.zeros_like(self._tail)], axis=1)
        return max(self._peak, _highest(ending, self._peak))

    @property
    def dbtp(self) -> float:
        """Decibels relative to full scale, true peak; −200 for silence."""
        return decibels(self.peak)


def _highest(audio: np.ndarray, peak: float) -> float:
    """The true peak of ``[channels, samples]``, or ``peak``, that of before, when it is higher."""
    starts = range(0, audio.shape[1] - TAPS + 1, SEGMENT)
    tops = [float(np.abs(audio[:, start : start + SEGMENT + TAPS - 1]).max(initial=0.0)) for start in starts]
    for index in np.argsort(tops)[::-1]:
        if tops[index] * BOUND <= peak:
            break
        start = starts[index]
        windows = np.lib.stride_tricks.sliding_window_view(audio[:, start : start + SEGMENT + TAPS - 1], TAPS, axis=1)
        # The recommendation's filter has no phase that passes the samples themselves, so they are heard too.
        peak = max(peak, tops[index], float(np.abs(windows @ PHASES[:, ::-1].T).max(initial=0.0)))
    return peak


def true_peak(audio: np.ndarray) -> float:
    """True peak of a whole ``[samples]`` or ``[channels, samples]`` at 48 kHz, dBTP."""
    audio = np.atleast_2d(audio)
    meter = TruePeak(audio.shape[0])
    meter.add(audio)
    return meter.dbtp
