"""The table of utterances: every line in every language, how well it fits, how to say it otherwise."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from services.pairing.acceptance.criteria import MIN_LANGUAGE_SECONDS
from services.pairing.report import charts
from services.pairing.report.title_facts import TitleFiles
from shared.core.records import DubbedUtterance
from shared.schemas.layout import CONTROL, ORIG


@dataclass(frozen=True)
class LineView:
    """One row: a line in one language."""

    line: DubbedUtterance
    track: str
    colour: str
    slot: Markup | None
    native: bool | None
    wrong_language: bool
    bad: frozenset[str]
    """Names of the figures that are beyond a threshold."""
    redub: str | None
    """What to type to have it said otherwise."""


@dataclass(frozen=True)
class LineTable:
    rows: list[LineView]
    total: int
    languages: list[str]


def line_table(
    title: TitleFiles, palette: charts.Palette, thresholds: dict[str, float], limit: int, several_titles: bool
) -> LineTable:
    """Lines of all dubs, the same line's languages under one another; the control is not text of ours."""
    tracks = [track for track in title.tracks if track not in {ORIG, CONTROL}]
    rows: list[tuple[str, int, LineView]] = []
    for place, track in enumerate(tracks):
        native = title.native(track)
        for line in title.spoken(track):
            view = LineView(
                line=line,
                track=track,
                colour=palette(track),
                slot=slot(line, palette(track)),
                native=native.get(line.voice) if line.voice else None,
                wrong_language=line.detected_language not in {None, line.language}
                and line.end - line.start >= MIN_LANGUAGE_SECONDS,
                bad=figures_beyond_thresholds(line, thresholds),
                redub=None if line.status == "dropped" else redub(title.name if several_titles else None, track, line),
            )
            rows.append((line.id, place, view))
    rows.sort(key=lambda row: row[:2])
    return LineTable([view for _, _, view in rows[:limit]], len(rows), tracks)


def slot(line: DubbedUtterance, colour: str) -> Markup | None:
    """A picture of the line in its slot; None when nothing was placed."""
    if line.end <= line.start:
        return None
    return charts.slot(line.slot_start, line.slot_end, line.start, line.end, colour)


def figures_beyond_thresholds(line: DubbedUtterance, thresholds: dict[str, float]) -> frozenset[str]:
    """Which figures of one line would be rejected; rows of pairs are judged by whole shots."""
    figures = set()
    if (line.round_trip_cer or 0) > thresholds.get("max_round_trip_cer", 1e9):
        figures.add("cer")
    if abs(line.loudness_difference_lu or 0) > thresholds.get("max_loudness_difference_lu", 1e9):
        figures.add("loudness")
    if line.overflow_ms > thresholds.get("max_overflow_ms", 1e9):
        figures.add("overflow")
    return frozenset(figures)


def redub(title: str | None, language: str, line: DubbedUtterance) -> str:
    """The command that has a line said otherwise, quoted for a shell. ``OUT`` stands for the output folder."""
    words = ["counterdub", "redub", "OUT", "--utterance", line.id, "--lang", language]
    words += ["--title", title] if title else []
    return shlex.join([*words, "--text", " ".join(line.text.split())])


@dataclass(frozen=True)
class CastRow:
    """A voice that speaks in a title."""

    speaker: str
    language: str
    voice: str
    native: bool | None
    lines: int


def cast_rows(title: TitleFiles, tracks: Sequence[str]) -> list[CastRow]:
    """Who speaks for whom, from what was said: a run's cast files also hold people of earlier titles."""
    rows = []
    for track in tracks:
        if track in {ORIG, CONTROL}:
            continue
        native = title.native(track)
        used: dict[tuple[str, str], int] = {}
        for line in title.spoken(track):
            if line.voice:
                used[line.speaker, line.voice] = used.get((line.speaker, line.voice), 0) + 1
        rows += [CastRow(who, track, voice, native.get(voice), n) for (who, voice), n in sorted(used.items())]
    return rows
