"""Short previews of sound: MP3, the one lossy format that every browser plays without the system's help."""

from __future__ import annotations

import numpy as np

from shared.media.sound_formats import encode

PEAKS = 200
"""Points of the small waveform."""


def mp3(audio: np.ndarray, bitrate: int) -> bytes:
    """Mono 48 kHz float32 ``[samples]`` as MP3. Its header tells players the encoder's delay, so it starts at 0."""
    return encode(audio, "mp3", bitrate=bitrate)


def peaks(audio: np.ndarray, points: int = PEAKS) -> list[int]:
    """Largest size of the samples in each of ``points`` equal parts, 0–100 of full scale."""
    parts = np.array_split(np.abs(audio), points)
    return [round(100 * min(1.0, float(part.max(initial=0.0)))) for part in parts]
