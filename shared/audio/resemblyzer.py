"""Who speaks: the speaker encoder of Resemblyzer through onnxruntime.

Wan et al., *Generalized End-to-End Loss for Speaker Verification* (1710.10467), in the implementation and with the
weights of resemble-ai/Resemblyzer (Apache-2.0): three LSTM layers over 1.6 s of 40 mel bands, last state, linear,
ReLU, L2; the mean over overlapping windows stands for an utterance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from shared.audio.mel import mel_power
from shared.audio.signal import SPEECH_RATE, from_decibels, rms
from shared.engines.checkpoints import read_checkpoint
from shared.engines.protocols import EngineOptions, Licence, WeightFiles

WINDOW, HOP, BANDS = 400, 160, 40
"""25 ms and 10 ms at 16 kHz; mel bands."""
PARTIAL = 160
"""Mel frames of one window of the encoder, 1.6 s."""
STEP = round(SPEECH_RATE / 1.3 / HOP)
"""Mel frames between windows: 1.3 windows a second."""
MIN_COVERAGE = 0.75
"""The last window counts if it holds at least this share of sound."""
LEVEL_DBFS = -30.0
"""Quieter speech is brought up to this RMS."""
LAYERS, SIZE = 3, 256


class Resemblyzer:
    """256-d speaker embeddings of speech in any language."""

    name: ClassVar[str] = "resemblyzer"
    cpu_only: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    licence: ClassVar[Licence] = Licence("Apache-2.0")
    size: ClassVar[int] = SIZE

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ("resemblyzer",)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        import onnxruntime

        state = read_checkpoint(weights.path("resemblyzer") / "pretrained.pt")["model_state"]
        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = options.threads
        self._session = onnxruntime.InferenceSession(encoder_graph(state), session, providers=["CPUExecutionProvider"])

    def embed(self, audio: np.ndarray) -> np.ndarray:
        """L2-normalised embedding ``[256]``, all values ≥ 0, of mono 16 kHz speech of any length.

        Silence has no speaker: its embedding is whatever the model makes of nothing, so do not ask.
        """
        (partials,) = self._session.run(None, {"mel": windows(audio).transpose(1, 0, 2)})
        return unit(unit(partials).mean(axis=0))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scaled to length 1 along the last axis; zeros stay."""
    scaled: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled


def windows(audio: np.ndarray) -> np.ndarray:
    """Mel windows of mono 16 kHz speech, ``[windows, 160, 40]``; short speech is one window filled up with zeros."""
    frames = -(-(len(audio) + 1) // HOP)
    starts = list(range(0, max(1, frames - PARTIAL + STEP + 1), STEP))
    if len(starts) > 1 and (len(audio) - starts[-1] * HOP) / (PARTIAL * HOP) < MIN_COVERAGE:
        starts.pop()
    level = rms(audio)
    gain = max(1.0, from_decibels(LEVEL_DBFS) / level) if level > 0 else 1.0
    missing = max(0, (starts[-1] + PARTIAL) * HOP - len(audio))
    padded = np.pad(audio.astype(np.float32, copy=False) * np.float32(gain), (0, missing))
    mel = mel_power(padded, SPEECH_RATE, WINDOW, HOP, BANDS)
    return np.stack([mel[start : start + PARTIAL] for start in starts])


def encoder_graph(state: Mapping[str, np.ndarray]) -> bytes:
    """The serialised graph: ``mel [160, windows, 40]`` → ``embedding [windows, 256]``, before L2.

    Args:
        state: Weights by PyTorch's names, ``lstm.*`` and ``linear.*``.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), f"c{len(constants)}"))
        return str(constants[-1].name)

    def gates(layer: int, part: str) -> np.ndarray:
        # PyTorch stacks input, forget, cell, output; ONNX input, output, forget, cell.
        given, forget, cell, output = np.split(state[f"lstm.{part}_l{layer}"], 4)
        return np.concatenate([given, output, forget, cell])[None]

    signal = "mel"
    for layer in range(LAYERS):
        bias = np.concatenate([gates(layer, "bias_ih"), gates(layer, "bias_hh")], axis=1)
        parameters = [constant(gates(layer, "weight_ih")), constant(gates(layer, "weight_hh")), constant(bias)]
        nodes.append(helper.make_node("LSTM", [signal, *parameters], [f"all{layer}", f"last{layer}"], hidden_size=SIZE))
        axis = numpy_helper.from_array(np.array([1 if layer < LAYERS - 1 else 0]), f"axis{layer}")
        constants.append(axis)
        source = f"all{layer}" if layer < LAYERS - 1 else f"last{layer}"
        signal = f"state{layer}"
        nodes.append(helper.make_node("Squeeze", [source, axis.name], [signal]))
    linear = [signal, constant(state["linear.weight"]), constant(state["linear.bias"])]
    nodes.append(helper.make_node("Gemm", linear, ["linear"], transB=1))
    nodes.append(helper.make_node("Relu", ["linear"], ["embedding"]))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "speaker",
            [helper.make_tensor_value_info("mel", TensorProto.FLOAT, [PARTIAL, "windows", BANDS])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["windows", SIZE])],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return bytes(model.SerializeToString())
