"""Kokoro's graph with one more input: a factor on the pitch curve.

The model predicts a fundamental frequency for every frame and then makes sound from it. Scaling the curve in between
moves the pitch and leaves the formants, which no shift of the finished sound does.
"""

from __future__ import annotations

from pathlib import Path

from shared.core.errors import EngineError

CURVE = "/encoder/F0_proj/Conv_output_0"
"""The predicted pitch, Hz a frame, in the exported graph."""
PITCH = "pitch"


def with_pitch(path: Path) -> bytes:
    """The serialised model with the input ``pitch [1]``: 1 leaves its sound as it was.

    Raises:
        EngineError: ``engine_failed`` when the graph has no pitch curve by the known name.
    """
    import onnx
    from onnx import helper

    model = onnx.load(str(path))
    graph = model.graph
    made = next((index for index, node in enumerate(graph.node) if CURVE in node.output), None)
    if made is None:
        raise EngineError("Kokoro's model file has no pitch curve where it should be.", code="engine_failed")
    scaled = f"{CURVE}_scaled"
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == CURVE:
                node.input[index] = scaled
    graph.node.insert(made + 1, helper.make_node("Mul", [CURVE, PITCH], [scaled]))
    graph.input.append(helper.make_tensor_value_info(PITCH, onnx.TensorProto.FLOAT, [1]))
    return bytes(model.SerializeToString())
