"""A trained encoder to use: waves and clips in, embeddings out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from shared.core.errors import InputError, UsageError
from trainer.embedding.arrays import as_clips, as_waves
from trainer.frontend.mel import MelFrontEnd, samples_of
from trainer.frontend.picture import picture
from trainer.model import Model
from trainer.recipe import Recipe, recipe_from
from trainer.towers import Tower
from trainer.towers.published import load_published
from trainer.training import checkpoints
from trainer.training.processes import select_device

if TYPE_CHECKING:
    import pyarrow as pa

SOUNDS, CLIPS = 64, 8
"""Given to a tower at a time, so that memory does not grow with what is asked for."""


class Made(NamedTuple):
    """What a checkpoint gave, on the encoder's device."""

    recipe: Recipe
    audio: Tower | None
    video: Tower | None
    project: Callable[[str, Tensor], Tensor] | None
    """A stream and its tower's output → what the loss saw."""


class Encoder:
    """The towers of a checkpoint, as they embed; made by :func:`load_encoder`.

    Attributes:
        id: sha256 of the checkpoint's bytes, hexadecimal.
        recipe: What it was trained by.
        sample_rate: Of the waves it takes, Hz.
        seconds: Length of the window it was trained on, of sound and picture.
        audio_size: Width of an audio embedding; 0 where there is no audio tower.
        video_size: Width of a video embedding; 0 where there is no video tower.
        head_size: Width of a projected embedding; 0 where the checkpoint has no heads.
    """

    def __init__(self, made: Made, id: str, device: torch.device) -> None:
        self.id, self.recipe = id, made.recipe
        self.sample_rate, self.seconds = made.recipe.audio.sample_rate, made.recipe.audio.seconds
        self.audio_size = made.audio.size if made.audio is not None else 0
        self.video_size = made.video.size if made.video is not None else 0
        self.head_size = made.recipe.model.head.size if made.project else 0
        self._made = made
        for tower in (made.audio, made.video):
            if tower is not None:
                tower.eval()
        self._front = MelFrontEnd(made.recipe.audio).to(device)
        self._device = device

    def __repr__(self) -> str:
        sizes = {"audio": self.audio_size, "video": self.video_size, "heads": self.head_size}
        has = ", ".join(f"{name} {size}" for name, size in sizes.items() if size)
        return f"<Encoder {self.recipe.name} {self.id[:12]}: {has}; {self.seconds:g} s at {self.sample_rate} Hz>"

    def audio(
        self, waves: np.ndarray | Sequence[np.ndarray], *, heads: bool = False, sample_rate: int | None = None
    ) -> np.ndarray:
        """Embeddings of sounds.

        Args:
            waves: ``[B, N]``, one sound ``[N]``, or a list of sounds; mono, float in −1 to 1 or int16. Of longer ones
                the first window is taken, to shorter ones zeros are appended, as the reference does.
            sample_rate: Of ``waves``, Hz, if it is not :attr:`sample_rate`; they are resampled.
            heads: The projection that the loss saw, of length 1, instead of the tower's own output.

        Returns:
            float32 ``[B, audio_size]``, or ``[B, head_size]``.

        Raises:
            UsageError: ``no_tower``, ``no_heads``, ``bad_waves``.
        """
        size = self._size("sound", self.audio_size, heads)
        fitted = as_waves(waves, samples_of(self.recipe.audio), self.sample_rate, sample_rate)

        def encode(part: Tensor) -> Tensor:
            assert self._made.audio is not None
            embedding: Tensor = self._made.audio(self._front(part[:, None]))
            return self._made.project("a_p", embedding) if heads and self._made.project else embedding

        return self._embed(fitted, encode, SOUNDS, size)

    def video(self, clips: np.ndarray, *, heads: bool = False) -> np.ndarray:
        """Embeddings of pictures.

        Args:
            clips: uint8 ``[B, T, H, W, 3]``, or one ``[T, H, W, 3]``, RGB, the recipe's number of frames and size; or
                float in 0 to 1.
            heads: As for :meth:`audio`.

        Returns:
            float32 ``[B, video_size]``, or ``[B, head_size]``.

        Raises:
            UsageError: ``no_tower``, ``no_heads``, ``bad_clips``.
        """
        size = self._size("picture", self.video_size, heads)
        fitted = as_clips(clips, self.recipe.video)

        def encode(part: Tensor) -> Tensor:
            assert self._made.video is not None
            whole = part.dtype == torch.uint8
            embedding: Tensor = self._made.video(picture(part) if whole else part.permute(0, 4, 1, 2, 3))
            return self._made.project("v_p", embedding) if heads and self._made.project else embedding

        return self._embed(fitted, encode, CLIPS, size)

    def embed(self, path: str | PathLike[str], *, crops: bool = False) -> pa.Table:
        """All windows of a file, as rows of ``counterdub embed`` (``docs/embed.md``).

        Args:
            path: A sound file or a video; without sound, or without picture, it has rows of the other.
            crops: A row for each of the five crops of the picture instead of their mean.

        Raises:
            InputError: It cannot be read; the code says why.
        """
        from trainer.embedding.files import embed_file  # pyarrow and decoding, which waves and clips do not need

        return embed_file(self, Path(path), crops=crops)

    def _size(self, what: str, size: int, heads: bool) -> int:
        if not size:
            raise UsageError(f"This encoder has no tower for {what}.", code="no_tower")
        if heads and not self.head_size:
            raise UsageError("This checkpoint has towers only; embed without heads.", code="no_heads")
        return self.head_size if heads else size

    def _embed(self, inputs: np.ndarray, encode: Callable[[Tensor], Tensor], batch: int, size: int) -> np.ndarray:
        out = np.empty((len(inputs), size), np.float32)
        with torch.inference_mode():
            for first in range(0, len(inputs), batch):
                part = torch.from_numpy(np.ascontiguousarray(inputs[first : first + batch])).to(self._device)
                out[first : first + batch] = encode(part).float().cpu().numpy()
        return out


def load_encoder(checkpoint: str | PathLike[str], device: str = "cpu") -> Encoder:
    """An encoder from a checkpoint.

    Args:
        checkpoint: A file that ``counterdub train`` wrote, or the folder of its run, of which the newest is taken;
            the moving average of the weights is used where there is one. Or a published MViT checkpoint.
        device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto``: cuda where there is one.

    Raises:
        InputError: ``not_a_checkpoint``, ``checkpoint_damaged``, ``other_model``.
        UsageError: ``no_checkpoint``, ``no_device``.
    """
    path = newest(Path(checkpoint))
    where = select_device(device, 0)
    try:
        made = ours(path, where)
    except InputError as error:
        if error.code == "other_model":
            raise
        made = published(path, where, error)
    with path.open("rb") as file:
        return Encoder(made, hashlib.file_digest(file, "sha256").hexdigest(), where)


def ours(path: Path, device: torch.device) -> Made:
    """Of a checkpoint that ``counterdub train`` wrote."""
    state = checkpoints.load(path)
    recipe = recipe_from(dict(state["recipe"]))
    model = Model(recipe)
    try:
        model.load_state_dict(state["ema"] or state["model"])
    except RuntimeError as error:
        raise InputError(
            f"The weights of “{path.name}” do not fit its recipe: another version of Counterdub wrote it.",
            code="other_model",
        ) from error
    model.to(device).eval()
    return Made(recipe, model.audio, model.video, model.project)


def published(path: Path, device: torch.device, otherwise: InputError) -> Made:
    """Of a published MViT checkpoint: towers without heads; ``otherwise`` is raised if it is none."""
    try:
        read = load_published(path)
    except InputError as error:
        raise (error if error.code == "other_model" else otherwise) from error
    towers = {name: tower.to(device) for name, tower in read.towers.items()}
    audio, video = towers.get("audio"), towers.get("video")
    settings: dict[str, Any] = {
        "name": "published",
        "model": {name: chosen.model_dump() for name, chosen in read.settings.items()},
    }
    if audio is not None:
        settings["audio"] = {"channels": audio.state_dict()["patch_embed.proj.weight"].shape[1]}
    return Made(recipe_from(settings), audio, video, None)


def newest(path: Path) -> Path:
    """The checkpoint itself, or the newest of a run's folder."""
    if path.is_dir():
        kept = checkpoints.steps(path / "checkpoints") or checkpoints.steps(path)
        path = kept[0] if kept else path
    if not path.is_file():
        raise UsageError(f"There is no checkpoint “{path.name}”.", code="no_checkpoint")
    return path
