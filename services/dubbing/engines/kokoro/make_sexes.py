"""Make ``voice_sex.npz`` of the transcription service: what in a speaker embedding tells women's voices from men's.

    python -m services.dubbing.engines.kokoro.make_sexes services/transcription/voice_sex.npz

Ridge regression on Kokoro's 54 styles, whose sex is known, in the table that ``make_voices`` made.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from services.dubbing.engines.kokoro.engine import voice_table

RIDGE = 0.01


def direction() -> tuple[np.ndarray, float]:
    """Weights ``[256]`` and a constant: the dot product with an embedding is about +1 for women and −1 for men."""
    table = voice_table()
    voices = np.stack([vector / np.linalg.norm(vector) for vector in table.values()]).astype(np.float64)
    sexes = np.array([1.0 if style[1] == "f" else -1.0 for style in table])
    mean, middle = voices.mean(axis=0), sexes.mean()
    spread = voices - mean
    scatter = spread.T @ spread / len(voices) + RIDGE * np.eye(voices.shape[1])
    weights = np.linalg.solve(scatter, (spread * (sexes - middle)[:, None]).mean(axis=0))
    return weights, float(middle - mean @ weights)


if __name__ == "__main__":
    weights, constant = direction()
    np.savez(Path(sys.argv[1]), weights=weights.astype(np.float32), constant=np.float32(constant))
