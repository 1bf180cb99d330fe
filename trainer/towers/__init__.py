"""Towers: the encoders of picture and sound, by the recipe's settings."""

from __future__ import annotations

from typing import Literal

from shared.errors import UsageError
from trainer.recipe import TowerSettings
from trainer.towers.tower import Tower

__all__ = ["Tower", "build_tower"]

Modality = Literal["video", "audio"]


def build_tower(
    settings: TowerSettings,
    modality: Modality,
    *,
    channels: int = 1,
    frames: int = 16,
    size: int = 224,
    mels: int = 96,
    time: int = 288,
) -> Tower:
    """A tower with fresh weights.

    Args:
        settings: Kind and measures, from the recipe.
        modality: ``video``: takes float ``[B, 3, frames, size, size]`` in [0, 1]; ``audio``: ``[B, channels, mels,
            time]`` in dB.
        channels: Of the sound.
        frames: Of a clip.
        size: Side of the picture, pixels.
        mels: Bands of the spectrogram.
        time: Frames of the spectrogram.

    Raises:
        UsageError: ``bad_setting``: this kind of tower does not exist for the modality.
    """
    from trainer.towers.tiny import TinyAudio, TinyVideo

    if settings.kind == "tiny":
        return TinyVideo(settings.width) if modality == "video" else TinyAudio(channels, settings.width)
    raise UsageError(f"There is no {modality} tower “{settings.kind}”.", code="bad_setting")
