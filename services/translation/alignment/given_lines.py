"""Which line says which text of a given translation, and what came of its cues."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from services.translation.alignment.beads import Bead, TimedText, align_beads
from services.translation.alignment.clocks import Clock, candidate_clocks
from services.translation.alignment.division import divide
from services.translation.budget import rate
from shared.core.records import Record, Span, Utterance
from shared.core.text import spoken_characters
from shared.media.subtitles import Cue, join_lines

FEWEST_FOR_A_CLOCK = 5
"""Lines that must find a cue before another clock than the file's own is believed …"""
CLOCK_COST = 2.0
"""… and what it must be better by than those tried before, in the cost of beads."""
SPOKEN_SHARE = 1.2
"""A cue is taken to be spoken in that many times the usual time for its characters, where it stands longer."""


class GivenLine(Record):
    """A line's text by the translation that was given."""

    utterance: str
    text: str


class Alignment(NamedTuple):
    """What a translation gives to a title's lines."""

    texts: dict[str, str]
    """Line's id → what it says."""
    merged: tuple[str, ...]
    """Ids of lines whose text was put together from several cues."""
    parts: tuple[str, ...]
    """Ids of lines that say a part of a cue."""
    unspoken: tuple[Cue, ...]
    """Cues that no line says."""
    clock: Clock


def align(lines: Sequence[Utterance], cues: Sequence[Cue], source: str, target: str) -> Alignment:
    """Give each line the text of the cues that stand where it is spoken.

    Args:
        lines: Those that are spoken, by start.
        cues: By start, with words.
        source, target: Languages of lines and cues, ISO 639-1.
    """
    ours = [TimedText(line.start, line.end, line.text, line.speaker) for line in lines]
    spans = [Span(start=cue.start, end=cue.start + spoken_seconds(cue, target)) for cue in cues]
    speech = [Span(start=line.start, end=line.end) for line in lines]
    own, *others = candidate_clocks(speech, spans)
    clock, beads = own, align_beads(ours, on_film(cues, own), source, target)
    least = cost_of(beads) - CLOCK_COST
    for candidate in others:
        refined, better = refine(candidate, ours, cues, source, target)
        matched = sum(bool(bead.lines) and bool(bead.cues) for bead in better)
        if matched >= FEWEST_FOR_A_CLOCK and cost_of(better) < least:
            clock, beads, least = refined, better, cost_of(better) - CLOCK_COST
    return taken(lines, cues, beads, clock)


def spoken_seconds(cue: Cue, language: str) -> float:
    """How long a cue is likely spoken: it stands longer, for reading."""
    return min(cue.end - cue.start, SPOKEN_SHARE * spoken_characters(cue.text) / rate(language))


def on_film(cues: Sequence[Cue], clock: Clock) -> list[TimedText]:
    return [TimedText(clock.film(cue.start), clock.film(cue.end), cue.text) for cue in cues]


def cost_of(beads: Sequence[Bead]) -> float:
    return sum(bead.cost for bead in beads)


def refine(
    clock: Clock, lines: Sequence[TimedText], cues: Sequence[Cue], source: str, target: str
) -> tuple[Clock, list[Bead]]:
    """A clock moved by the median of what its lines begin before their cues, and the alignment by it."""
    beads = align_beads(lines, on_film(cues, clock), source, target)
    late = [
        clock.film(cues[bead.cues[0]].start) - lines[bead.lines[0]].start for bead in beads if bead.lines and bead.cues
    ]
    if not late:
        return clock, beads
    moved = Clock(clock.rate, round(clock.delay - median(late), 2))
    return moved, align_beads(lines, on_film(cues, moved), source, target)


def taken(lines: Sequence[Utterance], cues: Sequence[Cue], beads: Sequence[Bead], clock: Clock) -> Alignment:
    """Texts of the lines by their beads: cues put together, then divided where there are several lines."""
    texts: dict[str, str] = {}
    merged: list[str] = []
    parts: list[str] = []
    unspoken: list[Cue] = []
    for bead in beads:
        members = [lines[i] for i in bead.lines]
        own = [cues[j] for j in bead.cues]
        if not members or not own:
            unspoken += own
            continue
        text = join_lines(cue.text for cue in own)
        divided = divide(text, [line.text for line in members])
        if divided is None:  # “Yes.” for two lines: the longer one says it.
            members, divided = [max(members, key=lambda line: len(line.text))], [text]
        for line, text in zip(members, divided, strict=True):
            texts[line.id] = text
        if len(own) > 1:
            merged += [line.id for line in members]
        elif len(members) > 1:
            parts += [line.id for line in members]
    return Alignment(texts, tuple(merged), tuple(parts), tuple(unspoken), clock)
