"""Pictures of sound: mel spectrograms as small WebP files (paper supplement, Fig. C.2)."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image

from shared.audio.mel import hertz_to_mel, mel_power
from shared.core.records import SAMPLE_RATE

TOP_HERTZ = 16_000
"""Shows speech up to its bandwidth and what the original has above it."""
WINDOW = 2048
FLOOR_DB, CEILING_DB = -62.0, 15.0
"""Fixed, so that the tracks of a shot can be compared: silence, and the loudest partials of a mix at full scale."""
WEBP_QUALITY = 55

# Matplotlib's magma (CC0), every 17th entry.
_MAGMA = """
000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fcfdbf
"""


@lru_cache
def palette() -> np.ndarray:
    """256 colours from dark to light, uint8 ``[256, 3]``."""
    anchors = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in _MAGMA.split()], float)
    at = np.linspace(0, len(anchors) - 1, 256)
    return np.stack([np.interp(at, range(len(anchors)), anchors[:, c]) for c in range(3)], axis=1).astype(np.uint8)


def levels(audio: np.ndarray, width: int, height: int) -> np.ndarray:
    """``[samples]`` at 48 kHz → dB above the floor as 0–255, uint8 ``[height, ≤ width + 1]``, low notes last."""
    hop = max(1, -(-len(audio) // width))
    whole, shown = hertz_to_mel(np.array([SAMPLE_RATE / 2, TOP_HERTZ]))
    power = mel_power(audio, SAMPLE_RATE, WINDOW, hop, round(height * whole / shown))[:, :height]
    decibels = 10 * np.log10(np.maximum(power, 1e-12))
    scaled = (decibels - FLOOR_DB) / (CEILING_DB - FLOOR_DB)
    picture: np.ndarray = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8).T[::-1]
    return picture


def webp(audio: np.ndarray, width: int, height: int) -> bytes:
    """The spectrogram of mono 48 kHz sound as a WebP picture ``width`` × ``height``."""
    picture = Image.fromarray(palette()[levels(audio, width, height)]).resize((width, height), Image.Resampling.BOX)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=WEBP_QUALITY, method=4)
    return out.getvalue()
