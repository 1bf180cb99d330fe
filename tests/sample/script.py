"""The sample's screenplay: what is said, by whom and when, what is heard and seen. Pure data.

Times are seconds from the start of the title; lengths of shots are frames.
"""

from __future__ import annotations

from dataclasses import dataclass

FPS = 25
WIDTH, HEIGHT = 480, 270
SAMPLE_RATE = 48_000
SEED = 20
LANGUAGE = "en"

VOICES = {"Anna": "af_heart", "Tom": "am_michael"}
VOICE_SPEED = 0.9
"""A little slower than the voices' own pace: people in films take their time."""


@dataclass(frozen=True)
class Shot:
    """One camera position. ``kind`` is the transition into it; a fade's cut is its darkest moment."""

    scene: str
    frames: int
    kind: str = "cut"


@dataclass(frozen=True)
class Line:
    """One spoken line; ``start`` is where its first sound is."""

    speaker: str
    start: float
    text: str

    @property
    def voice(self) -> str:
        return VOICES[self.speaker]


@dataclass(frozen=True)
class Effect:
    """A sound at a moment, ``pan`` from -1 (left) to 1 (right)."""

    name: str
    start: float
    gain_db: float = 0.0
    pan: float = 0.0


SHOTS = (
    Shot("house", 100, "start"),
    Shot("room", 365),
    Shot("anna", 155),
    Shot("tom", 110),
    Shot("clock", 45),
    Shot("table", 175),
    Shot("train", 180, "fade"),
    Shot("sea", 200),
)

FADE_FRAMES = 16
"""Length of the fade through black: half of it before the cut, half after."""

LINES = (
    Line("Anna", 5.4, "Good evening, Tom. Please come in, it is raining outside."),
    Line("Tom", 9.3, "Thank you, Anna. I missed the last train to the city."),
    Line("Anna", 13.0, "You can sleep here tonight. Would you like some hot tea?"),
    Line("Tom", 16.5, "Yes, please. I have not eaten anything since this morning."),  # crosses the cut at 18.6
    Line("Anna", 20.9, "My brother found this letter under the kitchen table yesterday."),
    Line("Tom", 25.4, "I know this letter. My father wrote it ten years ago."),
    Line("Anna", 31.5, "I think that we should call the police right now."),
    Line("Tom", 33.3, "No, wait. We have to find the old key first."),  # starts before Anna ends
    Line("Tom", 46.0, "Look, the old key opens the blue door."),
    Line("Anna", 49.2, "I can see the ocean from here. It is beautiful."),
)

EFFECTS = (
    Effect("thunder", 1.2, 0.0, -0.3),
    Effect("knock", 4.25, 0.0, -0.4),
    Effect("step", 8.75, -4.0, -0.4),
    Effect("step", 9.2, -6.0, -0.3),
    Effect("cup", 16.1, -6.0, 0.3),
    Effect("paper", 20.35, -4.0, 0.2),
    Effect("paper", 24.95, -4.0, -0.1),
    Effect("bell", 29.3, 0.0, 0.1),
    Effect("bell", 30.3, -2.0, 0.1),
    Effect("thunder", 36.0, -3.0, 0.4),
    Effect("horn", 39.2, 0.0, -0.5),
    Effect("whoosh", 40.6, 0.0, 0.0),
    Effect("horn", 43.1, -6.0, 0.5),
    Effect("gull", 45.4, -4.0, 0.5),
    Effect("gull", 52.1, -8.0, -0.5),
)


def cuts() -> list[int]:
    """First frame of every shot but the first."""
    frames, total = [], 0
    for shot in SHOTS[:-1]:
        total += shot.frames
        frames.append(total)
    return frames


def total_frames() -> int:
    return sum(shot.frames for shot in SHOTS)


def total_samples() -> int:
    return total_frames() * SAMPLE_RATE // FPS
