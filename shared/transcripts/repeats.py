"""Rolling captions: every line stands again in the next cue, or grows word by word. Each is said once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from shared.media.subtitles import Cue

FLASH_SECONDS = 0.1
"""A cue that short shows nothing that its neighbours do not."""
NEAR_SECONDS = 1.5
SHARE = 0.3
"""Of neighbouring cues that must repeat one another before a file is taken for rolling captions."""


def once(cues: Sequence[Cue]) -> tuple[list[Cue], int]:
    """Cues with what stood in the cue before left out, and how many lines that were. Other files stay as they are."""
    cue_lines = [(cue, lines_of(cue)) for cue in cues]
    shown = [(cue, lines) for cue, lines in cue_lines if lines]
    pairs = list(pairwise(shown))
    rolling = sum(rolls(first, second) for first, second in pairs)
    if rolling < 2 or rolling < SHARE * len(pairs):
        return list(cues), 0
    out: list[tuple[Cue, list[str]]] = []
    repeated = 0
    before: list[str] = []
    for cue, lines in shown:
        near = bool(out) and cue.start - out[-1][0].end < NEAR_SECONDS
        kept, start = lines, cue.start
        if near:
            overlap = common(before, lines)
            repeated += overlap
            kept = lines[overlap:]
            if not overlap and grows(before, lines):
                first, _ = out.pop()
                kept = lines[len(before) - len(lines_of(first)) :]
                start, repeated = first.start, repeated + 1
        before = lines
        if kept:
            out.append((cue._replace(start=start, text="\n".join(kept)), kept))
        elif out:
            last, rest = out[-1]
            out[-1] = (last._replace(end=max(last.end, cue.end)), rest)
    return [cue for cue, _ in out], repeated


def lines_of(cue: Cue) -> list[str]:
    return [line for line in (" ".join(line.split()) for line in cue.text.split("\n")) if line]


def rolls(first: tuple[Cue, list[str]], second: tuple[Cue, list[str]]) -> bool:
    """Whether a cue begins with the lines that the one before ended with, and more was or is to come."""
    (cue, before), (after, lines) = first, second
    if after.start - cue.end >= NEAR_SECONDS:
        return False
    flash = min(cue.end - cue.start, after.end - after.start) <= FLASH_SECONDS
    return grows(before, lines) or (common(before, lines) > 0 and (len(lines) > 1 or len(before) > 1 or flash))


def common(before: Sequence[str], lines: Sequence[str]) -> int:
    """How many of the last lines before are the first ones now."""
    most = min(len(before), len(lines))
    return next((n for n in range(most, 0, -1) if list(before[-n:]) == list(lines[:n])), 0)


def grows(before: Sequence[str], lines: Sequence[str]) -> bool:
    """Whether the last line before is the beginning of the line in its place now."""
    return (
        len(before) == len(lines)
        and list(before[:-1]) == list(lines[:-1])
        and lines[-1] != before[-1]
        and lines[-1].startswith(before[-1] + " ")
    )
