"""Spleeter, two stems: a small U-Net on magnitudes, through onnxruntime."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from services.separation.spectrum import Frames, Synthesis
from services.separation.unet import BINS, STRIDE, mask_graph
from shared.audio.signal import fit_length, from_decibels, resample, rms
from shared.core.records import SAMPLE_RATE
from shared.engines.checkpoints import read_checkpoint
from shared.engines.protocols import EngineOptions, Licence, WeightFiles

RATE = 44_100
"""Sample rate that the networks were trained at, Hz."""
FRAMES = Frames(4096, 1024)
CORE = 512
"""Frames kept of one run of the networks, about 12 s: their training length."""
CONTEXT = STRIDE
"""Frames heard before and after those and thrown away, about 1.5 s."""

LEVEL_DBFS = -25.0
"""Quieter mixes are shown to the networks at this RMS: at -47 dBFS their masks are worse, at -60 useless."""
MAX_GAIN = 1000.0


class Spleeter:
    """Vocals of a stereo mix by a mask on its spectrogram; the phase is the mix's."""

    name: ClassVar[str] = "spleeter"
    cpu_only: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    licence: ClassVar[Licence] = Licence("MIT")

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ("spleeter-2stems",)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        import onnxruntime

        folder = weights.path("spleeter-2stems")
        stems = [read_checkpoint(folder / f"testcheckpoint{index}.ckpt") for index in (0, 1)]
        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = options.threads
        session.enable_cpu_mem_arena = False  # or the largest block's memory is kept for good
        self._session = onnxruntime.InferenceSession(mask_graph(*stems), session, providers=["CPUExecutionProvider"])

    def vocals(self, mix: np.ndarray) -> np.ndarray:
        """The speech and song of a mix ``[channels, samples]`` at 48 kHz, same shape.

        The networks take stereo: a single channel is given twice, more than two go pair by pair.
        """
        pairs = [mix[first : first + 2] for first in range(0, len(mix), 2)]
        return np.concatenate([self._pair(pair) for pair in pairs])

    def _pair(self, mix: np.ndarray) -> np.ndarray:
        channels, samples = mix.shape
        audio = resample(np.repeat(mix, 2, axis=0) if channels == 1 else mix, SAMPLE_RATE, RATE)
        gain = np.float32(np.clip(from_decibels(LEVEL_DBFS) / max(rms(audio), 1e-9), 1.0, MAX_GAIN))
        count = FRAMES.count(audio.shape[1])
        out = Synthesis(FRAMES, 2, audio.shape[1])
        for start in range(0, count, CORE):
            stop = min(count, start + CORE)
            first, last = max(0, start - CONTEXT), min(count, stop + CONTEXT)
            spectrum = FRAMES.spectrum(audio, first, last)
            keep = slice(start - first, stop - first)
            out.add(start, spectrum[:, keep] * self.mask(np.abs(spectrum) * gain)[:, keep])
        return fit_length(resample(out.result()[:channels], RATE, SAMPLE_RATE), samples)

    def mask(self, magnitude: np.ndarray) -> np.ndarray:
        """Share of the vocals, ``[2, frames, bins]`` in [0, 1], given magnitudes of the same shape.

        Above the networks' band a frame gets the mean of its mask inside the band, as in Spleeter's ``average``.
        """
        _, frames, bins = magnitude.shape
        seen = np.pad(magnitude[..., :BINS], ((0, 0), (0, -frames % STRIDE), (0, 0)))
        (mask,) = self._session.run(None, {"mix": seen[None]})
        mask = mask[0, :, :frames]
        above = np.broadcast_to(mask.mean(axis=-1, keepdims=True), (2, frames, bins - BINS))
        return np.concatenate([mask, above], axis=-1)
