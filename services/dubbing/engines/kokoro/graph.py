"""Kokoro's graph with its rhythm and pitch curve open, and the part of it that knows them before anything is spoken.

The model predicts how many frames each phoneme lasts and a fundamental frequency for every half frame, and then makes
sound from them. A factor on the pitch curve in between moves the pitch and leaves the formants, which no shift of
finished sound does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.core.errors import EngineError

FRAME_SAMPLES = 600
"""A frame of the model's rhythm, samples at 24 kHz."""
DURATIONS = "/encoder/predictor/ReduceSum_output_0"
"""Predicted frames of each phoneme at speed 1, ``[1, phonemes]``; divided by ``speed``, rounded, at least 1."""
CURVE = "/encoder/F0_proj/Conv_output_0"
"""The predicted pitch, Hz a half frame, in the exported graph: ``[1, 1, half frames]``."""
ENERGY = "/encoder/N_proj/Conv_output_0"
"""The predicted level: about 5.5 dB a unit, 8 in loud vowels, −9 in silence."""
PLANNED = (DURATIONS, CURVE, ENERGY)
PITCH, SPEED = "pitch", "speed"


def speaking_graph(path: Path) -> bytes:
    """The serialised model with a speed for each phoneme and the input ``pitch``, a factor a half frame.

    Raises:
        EngineError: ``engine_failed`` when the graph has no pitch curve by the known name.
    """
    from onnx import TensorProto, helper

    model = open_graph(path)
    graph = model.graph
    made = next(index for index, node in enumerate(graph.node) if CURVE in node.output)
    scaled = f"{CURVE}_scaled"
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == CURVE:
                node.input[index] = scaled
    graph.node.insert(made + 1, helper.make_node("Mul", [CURVE, PITCH], [scaled]))
    graph.input.append(helper.make_tensor_value_info(PITCH, TensorProto.FLOAT, ["half_frames"]))
    return bytes(model.SerializeToString())


def planning_graph(path: Path) -> bytes:
    """The serialised part of the model that ends in durations, pitch and energy: a thirtieth of the whole's work.

    Raises:
        EngineError: ``engine_failed`` when the graph has none by the known names.
    """
    from onnx import TensorProto, helper

    model = open_graph(path)
    keep_part(model.graph, PLANNED)
    for name in PLANNED:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return bytes(model.SerializeToString())


def open_graph(path: Path) -> Any:
    """The model, its input ``speed`` of any length."""
    import onnx

    model = onnx.load(str(path))
    made = {name for node in model.graph.node for name in node.output}
    if not set(PLANNED) <= made:
        raise EngineError(
            "Kokoro's model file has no rhythm, pitch or energy where they should be.", code="engine_failed"
        )
    for value in model.graph.input:
        if value.name == SPEED:
            value.type.tensor_type.shape.dim[0].dim_param = "speeds"
    return model


def keep_part(graph: Any, outputs: Sequence[str]) -> None:
    """Remove all that is not needed for ``outputs``; the graph is left without declared outputs."""
    needed = set(outputs)
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if needed.isdisjoint(node.output):
            del graph.node[index]
        else:
            needed.update(node.input)
    for values in (graph.input, graph.initializer):
        for index in reversed(range(len(values))):
            if values[index].name not in needed:
                del values[index]
    del graph.output[:]
