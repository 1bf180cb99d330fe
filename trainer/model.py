"""Towers and heads: from a batch's pictures and sounds to an embedding of each stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.feed import Batch
from trainer.frontend.mel import MelFrontEnd, frames_of
from trainer.frontend.picture import picture
from trainer.recipe import STREAMS, HeadSettings, Recipe
from trainer.towers import Tower, build_tower


class Model(nn.Module):
    """A tower for each modality that the recipe reads, shared by primary and secondary, and their projection heads.

    Attributes:
        video: Tower of the picture, or None.
        audio: Tower of the sound, or None.
        heads: By modality (``v``, ``a``) where primary and secondary share one (paper, section A), else by stream
            (section B.3).
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        settings = recipe.model
        self.streams = [stream for stream in STREAMS if stream in recipe.streams()]
        modalities = {stream[0] for stream in self.streams}
        self.video = self.audio = None
        if "v" in modalities and settings.video is not None:
            self.video = build_tower(settings.video, "video", frames=recipe.video.frames, size=recipe.video.size)
        if "a" in modalities:
            self.audio = build_tower(
                settings.audio,
                "audio",
                channels=recipe.audio.channels,
                mels=recipe.audio.mels,
                time=frames_of(recipe.audio),
            )
        self.heads = nn.ModuleDict()
        for stream in self.streams:
            tower = self.video if stream[0] == "v" else self.audio
            name = stream[0] if settings.head.shared else stream
            if tower is not None and name not in self.heads:
                self.heads[name] = make_head(settings.head, tower.size)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings of length 1.

        Args:
            inputs: What :func:`prepared` gives; a modality's streams go through its tower together.

        Returns:
            Stream → float32 ``[B, head.size]``.
        """
        embeddings: dict[str, Tensor] = {}
        for tower, streams, clips in self.entering(inputs):
            for stream, part in zip(streams, tower(clips).chunk(len(streams)), strict=True):
                embeddings[stream] = self.project(stream, part)
        return embeddings

    def entering(self, inputs: Mapping[str, Tensor]) -> Iterator[tuple[Tower, list[str], Tensor]]:
        """Each tower, its streams, and their clips one stream after another, as they go through it."""
        for modality, tower in (("v", self.video), ("a", self.audio)):
            streams = [stream for stream in self.streams if stream[0] == modality and stream in inputs]
            if tower is not None and streams:
                clips = torch.cat([inputs[stream] for stream in streams])
                yield tower, streams, picture(clips) if modality == "v" else clips

    def input_norms(self, inputs: Mapping[str, Tensor]) -> dict[nn.Module, Tensor]:
        """What enters each tower's input batch norm, for :func:`trainer.objective.gradcache.step`."""
        entering = ((tower.input_norm, clips) for tower, _, clips in self.entering(inputs))
        return {norm: clips for norm, clips in entering if norm is not None}

    def project(self, stream: str, embedding: Tensor) -> Tensor:
        """A tower's ``[B, size]`` as the loss sees it: through the head, float32, length 1."""
        head = self.heads[stream if stream in self.heads else stream[0]]
        return functional.normalize(head(embedding).float(), dim=1)


def make_head(settings: HeadSettings, wide: int) -> nn.Module:
    if settings.kind == "linear":
        return nn.Linear(wide, settings.size)
    hidden = settings.hidden or wide
    return nn.Sequential(nn.Linear(wide, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, settings.size))


def prepared(
    batch: Batch, front: MelFrontEnd, device: torch.device, generator: torch.Generator | None
) -> dict[str, Tensor]:
    """A feed's batch on the device, as :class:`Model` takes it.

    Args:
        batch: On the host.
        front: Of the recipe's sound, on the device.
        device: Where the model is.
        generator: Draws the masks; None: no masks.

    Returns:
        ``v_p``, ``v_s``: uint8 ``[B, T, S, S, 3]``; ``a_p``, ``a_s``: float32 ``[B, C, mels, frames]`` in dB; ``shot``.
    """
    here = {name: value.to(device, non_blocking=True) for name, value in tensors(batch).items()}
    streams = {"shot": here["shot"]}
    for suffix in ("p", "s"):
        if f"video_{suffix}" in here:
            streams[f"v_{suffix}"] = here[f"video_{suffix}"]
        for kind in ("audio", "mel"):
            if f"{kind}_{suffix}" in here:
                streams[f"a_{suffix}"] = front(here[f"{kind}_{suffix}"], generator)
    return streams


def tensors(batch: Batch) -> Mapping[str, Tensor]:
    """A batch by names that need not be literal."""
    every: Mapping[str, Any] = batch
    return every
