"""Lines and cues matched in order: one to one, one to several, several to one, or alone.

Dynamic programming over groups of neighbours (beads), as Gale and Church (1993) align sentences, with times as the
strongest evidence: a cue stands where its line is spoken.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from services.translation.alignment.similarity import Features, features, text_cost, united

MOST_LINES, MOST_CUES_TOGETHER = 6, 6
SHAPES = tuple(
    (lines, cues)
    for lines in range(1, MOST_LINES + 1)
    for cues in range(1, MOST_CUES_TOGETHER + 1)
    if min(lines, cues) == 1 or lines + cues <= 5
)
"""Lines and cues of a bead: one with up to six, or up to five in all."""
MORE_COST = 0.25
"""For each line and cue beyond one."""
OTHER_SPEAKER_COST = 0.4
"""For each change of speaker inside a bead of one cue: a dash would have cut the cue."""
ALONE_COST, ALONE_LENGTH_COST, ALONE_LONG = 1.0, 1.0, 60
"""A line or a cue that has no counterpart: more for a long one, up to so many characters."""
EARLY_SECONDS = 0.3
"""A cue may begin that much beside its line for nothing …"""
START_COST = 1.0
"""… and costs this for each further second."""
LATE_SECONDS, LATE_COST = 2.0, 0.3
"""Cues stand longer than the line is spoken: seconds that are free, and what each second more costs."""
CUT_SECONDS, CUT_COST = 0.5, 0.6
"""The line goes on after the cue."""
MOST_TIME_COST = 4.0
APART_SECONDS = 1.2
"""Further apart than that no line and no cue belong together."""
COVERED_SHARE = 0.25
"""In a bead of several, of each line the cues must cover so much, and of each cue the lines."""
BAND_SECONDS = 8.0
"""How far around a line cues are looked at."""


class TimedText(NamedTuple):
    """A line, or a cue on the film's clock; seconds."""

    start: float
    end: float
    text: str
    speaker: str = ""


class Bead(NamedTuple):
    """Neighbours that belong together: indices of lines and of cues, one of which may be empty."""

    lines: range
    cues: range
    cost: float


class Side(NamedTuple):
    """Lines or cues with what is compared of them."""

    items: Sequence[TimedText]
    features: Sequence[Features]


def align_beads(lines: Sequence[TimedText], cues: Sequence[TimedText], source: str, target: str) -> list[Bead]:
    """The cheapest way to match all lines and cues, in order.

    Args:
        lines, cues: By start.
        source, target: Their languages, ISO 639-1.
    """
    ours = Side(lines, [features(line.text) for line in lines])
    theirs = Side(cues, [features(cue.text) for cue in cues])
    bounds = band(lines, cues)
    costs: dict[tuple[int, int], float] = {(0, 0): 0.0}
    steps: dict[tuple[int, int], tuple[int, int, float]] = {}

    def reach(place: tuple[int, int], cost: float, step: tuple[int, int, float]) -> None:
        if cost < costs.get(place, float("inf")):
            costs[place], steps[place] = cost, step

    for i, (low, high) in enumerate(bounds):
        for j in range(low, high + 1):
            here = costs.get((i, j))
            if here is None:
                continue
            if j < len(cues):
                own = alone_cost(theirs.features[j])
                reach((i, j + 1), here + own, (0, 1, own))
            if i < len(lines):
                own = alone_cost(ours.features[i])
                reach((i + 1, j), here + own, (1, 0, own))
            for count, number, cost in beads_from(ours, theirs, i, j, source, target):
                reach((i + count, j + number), here + cost, (count, number, cost))
    beads = []
    i, j = len(lines), len(cues)
    while (i, j) != (0, 0):
        count, number, cost = steps[i, j]
        beads.append(Bead(range(i - count, i), range(j - number, j), cost))
        i, j = i - count, j - number
    return beads[::-1]


def band(lines: Sequence[TimedText], cues: Sequence[TimedText]) -> list[tuple[int, int]]:
    """For each number of lines done, the least and the most cues that may be done by then.

    Cues far before the line that was done last are done too; those far behind the next one are not.
    """
    starts = [cue.start for cue in cues]
    ends = list(accumulate((cue.end for cue in cues), max))
    passed = [bisect_left(ends, line.start - BAND_SECONDS) for line in lines]
    begun = [bisect_right(starts, line.end + BAND_SECONDS) for line in lines]
    most = list(accumulate((*begun, len(cues)), max))
    return list(zip([0, *passed], most, strict=True))


def beads_from(ours: Side, theirs: Side, i: int, j: int, source: str, target: str) -> Iterator[tuple[int, int, float]]:
    """Beads that begin with line ``i`` and cue ``j``: how many lines and cues, and the cost."""
    if i == len(ours.items) or j == len(theirs.items):
        return
    furthest = ours.items[min(i + MOST_LINES, len(ours.items)) - 1]
    if apart(theirs.items[j], ours.items[i].start, max(furthest.end, ours.items[i].end)) > APART_SECONDS:
        return
    for count, number in SHAPES:
        if i + count > len(ours.items) or j + number > len(theirs.items):
            continue
        lines, cues = ours.items[i : i + count], theirs.items[j : j + number]
        timed = time_cost(lines, cues)
        if timed is None:
            continue
        cost = timed + MORE_COST * (count + number - 2)
        if number == 1:
            cost += OTHER_SPEAKER_COST * sum(one.speaker != other.speaker for one, other in pairwise(lines))
        cost += text_cost(
            united(tuple(ours.features[i : i + count])),
            united(tuple(theirs.features[j : j + number])),
            source,
            target,
        )
        yield count, number, cost


def time_cost(lines: Sequence[TimedText], cues: Sequence[TimedText]) -> float | None:
    """What the times of a bead cost; None where one of its lines or cues stands apart from the others."""
    start, end = lines[0].start, max(line.end for line in lines)
    first, last = cues[0].start, max(cue.end for cue in cues)
    if len(lines) == len(cues) == 1:
        if apart(lines[0], first, last) > APART_SECONDS:
            return None
    elif any(covered(line, cues) < COVERED_SHARE for line in lines) or any(
        covered(cue, lines) < COVERED_SHARE for cue in cues
    ):
        return None
    cost = START_COST * max(abs(first - start) - EARLY_SECONDS, 0.0)
    cost += CUT_COST * max(end - last - CUT_SECONDS, 0.0) + LATE_COST * max(last - end - LATE_SECONDS, 0.0)
    return min(cost, MOST_TIME_COST)


def apart(item: TimedText, start: float, end: float) -> float:
    """Seconds between an item and a stretch of time; less than none where they overlap."""
    return max(item.start - end, start - item.end)


def covered(item: TimedText, others: Sequence[TimedText]) -> float:
    """Share of an item's time in which the others are."""
    common = sum(max(min(item.end, other.end) - max(item.start, other.start), 0.0) for other in others)
    return common / max(item.end - item.start, 1e-3)


def alone_cost(text: Features) -> float:
    return ALONE_COST + ALONE_LENGTH_COST * min(text.length / ALONE_LONG, 1.0)
