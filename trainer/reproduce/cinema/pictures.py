"""Pictures of a shot: gratings that look as the background sounds, a face whose mouth follows the English speech."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainer.reproduce.cinema.plot import PlotShot
from trainer.reproduce.scale import FRAMES, FRAMES_A_PICTURE, SIZE

GRATINGS, FACTORS = 3, 6
"""Each has an orientation, a pitch, a speed and a colour, from the latent."""
WEIGHT = 0.6
"""Of the sound in the latent; the rest is noise."""
NOISE = 0.15
SECONDS = 0.4
"""Between two pictures."""


class Looks(NamedTuple):
    """From a clip's band statistics to its latent; fitted without any label, on training clips alone."""

    mean: np.ndarray
    scale: np.ndarray
    projection: np.ndarray


def band_statistics(decibels: np.ndarray) -> np.ndarray:
    """Mean and deviation of each band over time: ``[N, mels, frames]`` → float64 ``[N, 2 · mels]``."""
    whole = decibels.astype(np.float64)
    return np.concatenate([whole.mean(-1), whole.std(-1)], axis=1)


def fit_looks(statistics: np.ndarray, seed: int) -> Looks:
    """A random projection of standardised statistics ``[N, D]`` to a latent of unit variance on these clips."""
    mean, scale = statistics.mean(0), np.maximum(statistics.std(0), 1e-3)
    projection = np.random.default_rng([seed, 99]).normal(size=(statistics.shape[1], GRATINGS * FACTORS))
    projection /= ((statistics - mean) / scale @ projection).std(0)
    return Looks(mean, scale, projection)


def latent(looks: Looks, statistics: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """``[18]``, of one clip's statistics ``[D]`` and noise."""
    heard = (statistics - looks.mean) / looks.scale @ looks.projection
    return np.asarray(WEIGHT * heard + np.sqrt(1 - WEIGHT**2) * random.normal(size=heard.shape))


def draw(shot: PlotShot, factors: np.ndarray, loudness: np.ndarray, opening: np.ndarray, face: bool) -> np.ndarray:
    """uint8 ``[13, 32, 32, 3]``.

    Args:
        shot: Cast, tint and seed.
        factors: Its :func:`latent`.
        loudness: Of the background at each picture, 0 to 1, ``[13]``.
        opening: Of the mouth at each picture, 0 to 1, ``[13]``.
        face: Whether there is one.
    """
    random = np.random.default_rng([shot.seed, 1])
    zoom, shift = random.uniform(0.85, 1.2), random.uniform(-0.1, 0.1, 2)
    axis = (np.arange(SIZE) + 0.5) / SIZE - 0.5
    y, x = np.meshgrid(axis, axis, indexing="ij")
    y, x = y * zoom + shift[0], x * zoom + shift[1]
    time = np.arange(FRAMES)[:, None, None] * SECONDS
    image = np.broadcast_to(shot.tint, (FRAMES, SIZE, SIZE, 3)).copy()
    for orientation, pitch, speed, *colour in factors.reshape(GRATINGS, FACTORS):
        angle, waves = np.pi * np.tanh(orientation / 2), 3 + 1.8 * np.tanh(pitch)
        phase = 2 * np.pi * (waves * (x * np.cos(angle) + y * np.sin(angle)) + np.tanh(speed) * time)
        strength = (0.12 + 0.3 * loudness)[:, None, None] * np.sin(phase + random.uniform(0, 2 * np.pi))
        image += strength[..., None] * (0.5 + 0.5 * np.tanh(np.array(colour)))
    if face:
        add_face(image, shot, x, y, opening, random)
    image += NOISE * random.normal(size=image.shape)
    return np.asarray(np.clip(image, 0, 1) * 255, np.uint8)


def add_face(
    image: np.ndarray, shot: PlotShot, x: np.ndarray, y: np.ndarray, opening: np.ndarray, random: np.random.Generator
) -> None:
    """An ellipse with the role's colour and shape; a mouth under half its width would be lost on so small a tower."""
    left, top = random.uniform(-0.18, 0.18, 2)
    skin = ((x - left) / shot.face.width) ** 2 + ((y - top) / shot.face.height) ** 2 < 1
    image[:, skin] = shot.face.colour
    middle = top + 0.4 * shot.face.height
    for picture, wide in zip(image, opening, strict=True):
        height = 0.02 + 0.13 * wide
        mouth = ((x - left) / (0.65 * shot.face.width)) ** 2 + ((y - middle) / height) ** 2 < 1
        picture[mouth & skin] = (0.1, 0.02, 0.02)


def at_pictures(values: np.ndarray) -> np.ndarray:
    """Means around each picture: ``[126]`` of 40 ms → ``[13]``."""
    padded = np.pad(values, 2, mode="edge")
    smooth = np.convolve(padded, np.ones(5) / 5, mode="valid")
    return np.asarray(smooth[::FRAMES_A_PICTURE][:FRAMES])
