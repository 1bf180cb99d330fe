"""Towers: the encoders of picture and sound, by the recipe's settings."""

from __future__ import annotations

from typing import Literal

from shared.core.errors import UsageError
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
    video = modality == "video"
    if settings.kind == "mvit":
        from trainer.towers.mvit import Mvit

        extent = (frames, size, size) if video else (mels, time)
        return Mvit(modality, settings.size, settings.patches, 3 if video else channels, extent, settings.drop_path)
    if settings.kind == "tiny":
        from trainer.towers.tiny import TinyAudio, TinyVideo

        return TinyVideo(settings.width) if video else TinyAudio(channels, settings.width)
    if settings.kind == "x3d_m" and video:
        from trainer.towers.x3d import X3d

        return X3d()
    if settings.kind == "acoustic_resnet50" and not video:
        from trainer.towers.acoustic_resnet import AcousticResNet

        return AcousticResNet(channels, settings.stem)
    raise UsageError(f"There is no {modality} tower “{settings.kind}”.", code="bad_setting")
