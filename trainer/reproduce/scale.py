"""How large a miniature is, and the seeds that it is drawn by."""

from __future__ import annotations

from typing import NamedTuple

SAMPLE_RATE = 16_000
SHOT_SECONDS = 5.0
SHOT_SAMPLES = 80_000
MEL_FRAMES = 126
"""Of a shot, 40 ms each."""
FRAMES, SIZE = 13, 32
"""Pictures of a shot, 0.4 s apart, and their side in pixels."""
FRAMES_A_PICTURE = 10
TRACKS = ("orig", "en2", "es", "fr", "ja", "background")
"""Of a shot. ``orig`` is English; ``en2`` is an English redub: other voice, other words."""
LANGUAGE_OF = {"orig": "en", "en2": "en", "es": "es", "fr": "fr", "ja": "ja"}


class Scale(NamedTuple):
    """Sizes of one miniature."""

    name: str
    folds: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Of ESC-10, each held out once."""
    titles: int = 40
    shots: int = 24
    """Of a title."""
    probe_titles: int = 24
    test_titles: int = 14
    sentences: int = 24
    """Of each voice in each language."""
    steps: int = 300
    sweep_steps: int = 150
    kokoro: int = 15
    """The same of Kokoro, which is far slower; 0: no title is spoken by it."""
    separator: str = "spleeter"
    """Takes the speech out for SEP."""
    sweeps: bool = True
    seed: int = 8100
    """World and training of fold k have this + k. No setting was chosen on the seeds of the full scale."""


FULL = Scale("full")
SMOKE = Scale("smoke", (1,), 16, 16, 16, 10, 9, steps=50, kokoro=0, sweeps=False, seed=500)


class World(NamedTuple):
    """What one world is drawn by."""

    fold: int
    seed: int
    speech_db: float = 6.0
    """Mean of the speech-to-background ratio, dB; its deviation is 4 dB."""
    face: bool = True
    separated: bool = True
    """SEP's track is made."""
