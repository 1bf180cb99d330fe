"""Pictures as towers take them."""

from __future__ import annotations

import torch


def picture(frames: torch.Tensor) -> torch.Tensor:
    """RGB uint8 ``[B, T, H, W, 3]`` to float32 ``[B, 3, T, H, W]`` in [0, 1], on the device where the frames are.

    The channels stay last in memory, which convolutions like; towers bring their own norm.
    """
    return frames.permute(0, 4, 1, 2, 3).to(torch.float32).div_(255)
