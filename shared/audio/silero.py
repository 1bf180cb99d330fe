"""Silero VAD v6 (ONNX): probability of speech for every 32 ms, with memory from window to window."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from shared.audio.signal import SPEECH_RATE
from shared.audio.vad import spans_of
from shared.core.records import Span
from shared.engines.protocols import Audio, EngineOptions, Licence, WeightFiles, missing

WINDOW, CONTEXT, STATE = 512, 64, (2, 1, 128)
"""Samples the model takes at once, those of the window before that it sees too, and the shape of its memory."""


class SileroVad:
    """Voice detector. Deterministic: every call starts with an empty memory."""

    name: ClassVar[str] = "silero"
    cpu_only: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    licence: ClassVar[Licence] = Licence("MIT")

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ("silero-vad",)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise missing("voice_detector", self.name, error) from error
        session = onnxruntime.SessionOptions()
        # The windows depend on one another and each is tiny: more threads only wait.
        session.intra_op_num_threads = session.inter_op_num_threads = 1
        path = weights.path("silero-vad") / "silero_vad.onnx"
        self._model: Any = onnxruntime.InferenceSession(str(path), session, providers=["CPUExecutionProvider"])

    def probabilities(self, audio: Audio) -> np.ndarray:
        """One probability for every 512 samples of mono 16 kHz audio, the last window padded with zeros."""
        count = -(-len(audio) // WINDOW)
        padded = np.zeros(CONTEXT + count * WINDOW, np.float32)
        padded[CONTEXT : CONTEXT + len(audio)] = audio
        state, rate = np.zeros(STATE, np.float32), np.array(SPEECH_RATE, np.int64)
        out = np.zeros(count, np.float32)
        for index in range(count):
            window = padded[None, index * WINDOW : (index + 1) * WINDOW + CONTEXT]
            probability, state = self._model.run(None, {"input": window, "state": state, "sr": rate})
            out[index] = probability[0, 0]
        return out

    def speech(self, audio: Audio) -> list[Span]:
        """Speech in mono 16 kHz audio, increasing and disjoint, seconds."""
        return spans_of(self.probabilities(audio), WINDOW / SPEECH_RATE, len(audio) / SPEECH_RATE)
