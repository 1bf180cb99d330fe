"""How good speech sounds, as listeners would judge it: DNSMOS P.835 (Reddy et al., 2110.01763)."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.audio.signal import SPEECH_RATE
from shared.engines.protocols import WeightFiles

SAMPLES = 144_160
"""The model hears 9.01 s at a time; shorter speech is repeated, as in the publisher's script."""
OVERALL = np.poly1d([-0.06766283, 1.11546468, 0.04602535])
"""From the model's output to opinion scores; the publisher's fit."""
MIN_SECONDS = 0.5


class Dnsmos:
    """Overall quality, 1 to 5."""

    def __init__(self, weights: WeightFiles) -> None:
        import onnxruntime

        path = weights.path("dnsmos") / "sig_bak_ovr.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._model: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def overall(self, speech: np.ndarray) -> float | None:
        """Of mono 16 kHz speech, the mean of windows one second apart; None for less than half a second."""
        if len(speech) < MIN_SECONDS * SPEECH_RATE:
            return None
        whole = np.tile(speech, -(-SAMPLES // len(speech))) if len(speech) < SAMPLES else speech
        starts = range(0, len(whole) - SAMPLES + 1, SPEECH_RATE)
        windows = np.stack([whole[start : start + SAMPLES] for start in starts]).astype(np.float32)
        scores = [self._model.run(None, {"input_1": window[None]})[0][0, 2] for window in windows]
        return float(np.mean(OVERALL(np.array(scores))))
