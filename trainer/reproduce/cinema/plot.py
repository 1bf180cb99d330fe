"""What happens in every shot: title, cast, sound in the background, who speaks when and what. Numbers only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainer.reproduce.cinema.sounds import Clips
from trainer.reproduce.cinema.speech import SLOTS, VOICES, SentenceBank
from trainer.reproduce.cinema.words import LANGUAGES
from trainer.reproduce.scale import LANGUAGE_OF, SHOT_SECONDS, World

SILENT = 0.3
"""Share of the shots in which nobody speaks."""
SPREAD_DB = 4.0
KOKORO = 0.25
"""Share of the titles that Kokoro speaks, all tracks of them; eSpeak NG speaks the others."""
CLASSES = 4
"""Of the ten classes of background that a title has."""


class Face(NamedTuple):
    colour: np.ndarray
    width: float
    height: float


class PlotLine(NamedTuple):
    """One utterance: role, start in seconds, and for each track the number of a sentence in the bank."""

    role: int
    start: float
    sentences: dict[str, int]


class PlotShot(NamedTuple):
    title: int
    clip: int
    lines: tuple[PlotLine, ...]
    role: int
    """Whose face is seen."""
    face: Face
    tint: np.ndarray
    speech_db: float
    voice_by: str
    seed: int
    """Of the picture's own chance."""


def draw_shots(
    bank: SentenceBank, clips: Clips, usable: np.ndarray, world: World, part: str, titles: int, shots: int
) -> list[PlotShot]:
    """The shots of one part of a world.

    Args:
        bank: What can be said.
        clips: Backgrounds.
        usable: Numbers of those that this part may use.
        world: Seed and ratio.
        part: ``train``, ``probe`` or ``test``; the last has voices and words of its own.
        titles: How many.
        shots: Of each title.
    """
    number = ("train", "probe", "test").index(part)
    random = np.random.default_rng([world.seed, number])
    drawn = []
    spoken_by = {VOICES[voice].by for voice in np.unique(bank.voice)}
    for title in range(titles):
        by = "kokoro" if "kokoro" in spoken_by and random.random() < KOKORO else "espeak"
        women = random.permutation([True, False]) if by == "kokoro" else random.random(2) < 0.4
        cast = [draw_voices(bank, by, bool(female), part == "test", random) for female in women]
        if women[0] == women[1]:
            cast[1] = other_than(cast[0], bank, by, bool(women[1]), part == "test", random)
        faces = [
            Face(random.uniform(0.35, 0.95, 3), random.uniform(0.2, 0.27), random.uniform(0.25, 0.34)) for _ in cast
        ]
        tint = random.uniform(0.25, 0.6, 3)
        # The class says which sounds a title has, as a film's places do; no picture is drawn from it.
        classes = random.choice(np.unique(clips.label[usable]), CLASSES, replace=False)
        choice = usable[np.isin(clips.label[usable], classes)]
        for _ in range(shots):
            lines = draw_lines(bank, cast, random)
            role = lines[int(random.integers(len(lines)))].role if lines else int(random.integers(2))
            ratio = random.normal(world.speech_db, SPREAD_DB)
            drawn.append(
                PlotShot(
                    *(title, int(random.choice(choice)), lines, role, faces[role], tint),
                    *(float(ratio), by, int(random.integers(2**31))),
                )
            )
    return drawn


def draw_voices(bank: SentenceBank, by: str, female: bool, tested: bool, random: np.random.Generator) -> dict[str, int]:
    """A voice for each track, of one sex; the redub's is another than the original's where there is one."""
    there = voices_of(bank, by, female, tested)
    chosen = {track: int(random.choice(there)) for track in LANGUAGE_OF}
    others = [voice for voice in there if voice != chosen["orig"]]
    if others:
        chosen["en2"] = int(random.choice(others))
    return chosen


def other_than(
    taken: dict[str, int], bank: SentenceBank, by: str, female: bool, tested: bool, random: np.random.Generator
) -> dict[str, int]:
    """Voices of the second role where it has the first's sex: no track has one voice in both."""
    there = voices_of(bank, by, female, tested)
    return {track: int(random.choice([voice for voice in there if voice != used])) for track, used in taken.items()}


def voices_of(bank: SentenceBank, by: str, female: bool, tested: bool) -> list[int]:
    spoken = set(np.unique(bank.voice).tolist())
    return [
        number
        for number, voice in enumerate(VOICES)
        if number in spoken and (voice.by, voice.female, voice.tested) == (by, female, tested)
    ]


def draw_lines(bank: SentenceBank, cast: list[dict[str, int]], random: np.random.Generator) -> tuple[PlotLine, ...]:
    """None, one or two utterances that do not overlap; the same times in every track."""
    if random.random() < SILENT:
        return ()
    slots = [int(slot) for slot in random.integers(len(SLOTS), size=random.integers(1, 3))]
    while sum(SLOTS[slot] for slot in slots) > SHOT_SECONDS - 0.2:
        slots.pop()
    gaps = random.dirichlet(np.ones(len(slots) + 1)) * (SHOT_SECONDS - sum(SLOTS[slot] for slot in slots))
    at, lines = 0.0, []
    for slot, gap in zip(slots, gaps, strict=False):
        role = int(random.integers(2))
        sentences = {
            track: int(
                random.choice(
                    np.flatnonzero(
                        (bank.voice == voice)
                        & (bank.language == LANGUAGES.index(LANGUAGE_OF[track]))
                        & (bank.slot == slot)
                    )
                )
            )
            for track, voice in cast[role].items()
        }
        lines.append(PlotLine(role, at + gap, sentences))
        at += gap + SLOTS[slot]
    return tuple(lines)
