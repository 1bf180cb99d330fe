"""Shots to look at and listen to: every track of a shot under one another, and the table of all shots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from services.pairing.acceptance.facts import TOUCH_SECONDS
from services.pairing.report import charts
from services.pairing.report.title_facts import TitleFiles, track_name
from services.pairing.tracks.shots import spread
from services.pairing.tracks.timeline import ShotTimeline
from shared.core.records import DubbedUtterance, Utterance
from shared.schemas.layout import ORIG
from shared.schemas.pairs import PairRow
from shared.schemas.reasons import TEXTS

MEDIA_PARTS = ("spectrogram", "audio")
Marks = ShotTimeline[Utterance | DubbedUtterance]


@dataclass(frozen=True)
class Verdict:
    """What became of one track of one shot."""

    accepted: bool
    reasons: list[str]
    detail: str

    @classmethod
    def of(cls, row: PairRow) -> Verdict:
        known = {reason.value: text for reason, text in TEXTS.items()}
        texts = [row.detail or "", *(known.get(reason, "") for reason in row.reasons)]
        return cls(row.accepted, [reason.replace("_", " ") for reason in row.reasons], " ".join(filter(None, texts)))


@dataclass(frozen=True)
class Strip:
    """One track of a shot."""

    track: str
    name: str
    language: str | None
    colour: str
    spectrogram: str
    audio: str
    wave: Markup
    spans: Markup
    lines: list[tuple[str, str]]
    """(utterance id, text)"""
    verdict: Verdict | None


@dataclass(frozen=True)
class ShotView:
    index: int
    start: float
    end: float
    strips: list[Strip]
    axis: Markup

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class ShotRow:
    """A line of the table of all shots."""

    index: int
    start: float
    end: float
    verdicts: dict[str, Verdict]
    shown: bool


@dataclass
class Listening:
    """All that is shown of a title's shots, and what is left out."""

    shots: list[ShotView] = field(default_factory=list)
    rows: list[ShotRow] = field(default_factory=list)
    total: int = 0
    kept: int = 0
    prepared: int = 0
    """Shots with a preview; fewer are shown when the page would get too big."""
    bytes: int = 0


def listen(title: TitleFiles, palette: charts.Palette, budget: int, max_rows: int) -> Listening:
    """Arrange a title's shots with at most ``budget`` bytes of media."""
    verdicts: dict[int, dict[str, Verdict]] = defaultdict(dict)
    times: dict[int, tuple[float, float]] = {}
    for name in ("pairs.jsonl", "rejects.jsonl"):
        for row in title.rows(name):
            if row.shot is not None and row.track and row.start is not None and row.end is not None:
                verdicts[row.shot][row.track] = Verdict.of(row)
                times[row.shot] = (row.start, row.end)
    previews = {track: title.preview(track) for track in title.tracks}
    prepared = sorted({shot for media in previews.values() for shot in media} & times.keys())
    shown, used = affordable(prepared, previews, budget)
    marks = {track: spoken(title, track) for track in title.tracks}
    views = []
    for shot in shown:
        start, end = times[shot]
        here = {track: previews[track][shot] for track in title.tracks if shot in previews[track]}
        loudest = max(max(media["peaks"]) for media in here.values())
        strips = [
            Strip(
                track=track,
                name=track_name(track, title.language(track)),
                language=title.language(track),
                colour=palette(track),
                spectrogram=media["spectrogram"],
                audio=media["audio"],
                wave=charts.waveform(media["peaks"], loudest, palette(track)),
                verdict=verdicts[shot].get(track),
                **spoken_spans(marks[track], start, end, palette(track)),
            )
            for track, media in here.items()
        ]
        views.append(ShotView(shot, start, end, strips, charts.seconds_axis(start, end - start)))
    rows = [ShotRow(shot, *times[shot], verdicts[shot], shot in shown) for shot in sorted(times)[:max_rows]]
    kept = title.quality.kept_shots if title.quality else 0
    return Listening(views, rows, len(times), kept, len(prepared), used)


def affordable(shots: Sequence[int], previews: Mapping[str, Mapping[int, Any]], budget: int) -> tuple[list[int], int]:
    """As many of the shots as the budget holds, evenly spread, and their bytes."""
    sizes = {
        shot: sum(len(media[shot][part]) for media in previews.values() if shot in media for part in MEDIA_PARTS)
        for shot in shots
    }
    for count in range(len(shots), 0, -1):
        chosen = spread(shots, count)
        used = sum(sizes[shot] for shot in chosen)
        if used <= budget:
            return chosen, used
    return [], 0


def spoken(title: TitleFiles, track: str) -> Marks:
    """When which line is heard on a track."""
    lines: Iterable[Utterance | DubbedUtterance]
    lines = (line for line in title.source() if line.status == "ok") if track == ORIG else title.spoken(track)
    return ShotTimeline((line.start, line.end, line) for line in lines if line.end > line.start)


def spoken_spans(marks: Marks, start: float, end: float, colour: str) -> dict[str, Any]:
    """``spans`` and ``lines`` of a :class:`Strip`: what is heard on a track between two times."""
    lines = marks.within(start, end, TOUCH_SECONDS)
    drawn = [(line.start - start, line.end - start, line.id, f"{line.id}: {line.text}") for line in lines]
    return {"spans": charts.spans(drawn, end - start, colour), "lines": [(line.id, line.text) for line in lines]}
