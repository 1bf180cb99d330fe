"""Make ``voice_sex.npz`` of the transcription service: what in a speaker embedding tells women's voices from men's.

    python -m services.dubbing.engines.kokoro.make_sexes services/transcription/voice_sex.npz

The way from the mean of men's voices to that of women's, of Kokoro's 54 styles in the table that ``make_voices`` made.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from services.dubbing.engines.kokoro.engine import voice_table


def direction() -> tuple[np.ndarray, float]:
    """Weights ``[256]`` and a constant: the dot product with an embedding is about +1 for women and −1 for men."""
    table = voice_table()
    voices = np.stack([vector / np.linalg.norm(vector) for vector in table.values()]).astype(np.float64)
    sexes = np.array([1.0 if style[1] == "f" else -1.0 for style in table])
    women, men = voices[sexes > 0].mean(axis=0), voices[sexes < 0].mean(axis=0)
    apart = women - men
    return 2 * apart / (apart @ apart), float(-(women + men) @ apart / (apart @ apart))


if __name__ == "__main__":
    weights, constant = direction()
    np.savez(Path(sys.argv[1]), weights=weights.astype(np.float32), constant=np.float32(constant))
