"""A trained encoder to use: waves and clips in, embeddings out."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from trainer.recipe import Recipe

if TYPE_CHECKING:
    import pyarrow as pa


class Encoder:
    """The towers of a checkpoint, as they embed; made by :func:`load_encoder`.

    Attributes:
        id: sha256 of the checkpoint's bytes, hexadecimal.
        recipe: What it was trained by.
        sample_rate: Of the waves it takes, Hz.
        seconds: Length of the window it was trained on, of sound and picture.
        audio_size: Width of an audio embedding.
        video_size: Width of a video embedding; 0 where there is no video tower.
        head_size: Width of a projected embedding.
    """

    id: str
    recipe: Recipe
    sample_rate: int
    seconds: float
    audio_size: int
    video_size: int
    head_size: int

    def audio(self, waves: np.ndarray, *, heads: bool = False) -> np.ndarray:
        """Embeddings of sounds.

        Args:
            waves: float32 ``[B, N]`` at :attr:`sample_rate`, mono, in −1 to 1. Of longer ones the first window is
                taken, to shorter ones zeros are appended, as the reference does.
            heads: The projection that the loss saw, of length 1, instead of the tower's own output.

        Returns:
            float32 ``[B, audio_size]``, or ``[B, head_size]``.
        """
        raise NotImplementedError

    def video(self, clips: np.ndarray, *, heads: bool = False) -> np.ndarray:
        """Embeddings of pictures.

        Args:
            clips: uint8 ``[B, T, H, W, 3]``, RGB, the recipe's number of frames and size.
            heads: As for :meth:`audio`.

        Returns:
            float32 ``[B, video_size]``, or ``[B, head_size]``.
        """
        raise NotImplementedError

    def embed(self, path: str | PathLike[str], *, crops: bool = False) -> pa.Table:
        """All windows of a file: rows as ``counterdub embed`` writes them."""
        raise NotImplementedError


def load_encoder(checkpoint: str | PathLike[str], device: str = "cpu") -> Encoder:
    """An encoder from a checkpoint of ``counterdub train`` or a published MViT one.

    Raises:
        InputError: ``not_a_checkpoint``.
    """
    raise NotImplementedError
