"""Clips with real speech for the tests of trouble: cuts of the bundled sample's clean stems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr

from tests.conftest import ROOT
from tests.unit.shared.media import odd

TRUTH = ROOT / "tests" / "sample" / "truth"


def speech(start: float, end: float, rate: int = 48000) -> np.ndarray:
    """What Anna and Tom say between two times of the sample, mono float32."""
    span = {"start": round(start * 48000), "stop": round(end * 48000), "dtype": "float32"}
    both = sum(sf.read(TRUTH / f"{name}.flac", **span)[0] for name in ("anna", "tom"))
    return both if rate == 48000 else soxr.resample(both, 48000, rate)


def line(path: Path, seconds: float = 4.0, **facts: Any) -> Path:
    """“Good evening, Tom. Please come in, it is raining outside.”: spoken from 0.2 s to 3.6 s."""
    sound = speech(5.2, 9.2, facts.get("rate", 48000))
    return odd.clip(path, seconds, **{"sound": sound, "sound_seconds": 4.0, **facts})


def dialogue(path: Path) -> Path:
    """That line by Anna, and Tom's answer: “Thank you, Anna. I missed the last train to the city.”; 7.3 s."""
    return odd.clip(path, 7.3, sound=speech(5.2, 12.5), cuts=[3.84])


def broken_in_the_middle(path: Path) -> Path:
    return odd.truncated_after_index(path, 0.6)


def late_start(path: Path) -> Path:
    """The file's clock starts at 1.4 s for the picture, and 0.6 s later for the sound."""
    return line(path, picture_start=1.4, sound_start=2.0)


def varying(path: Path) -> Path:
    """1 s at 30 frames a second, then 3 s at 10."""
    return line(path, times=[n / 30 for n in range(30)] + [1 + n / 10 for n in range(30)])
