"""What is known of a title when its rows are made: the inputs of the stage ``pairs``, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.pairing.tracks.chunks import in_order
from services.pairing.tracks.timeline import Activity, ShotTimeline
from shared.core.records import DubbedUtterance, LeftSpeech, Shot, Utterance, read_json, read_jsonl, read_list
from shared.pipeline.stage import Scope
from shared.schemas.layout import CONTROL, ORIG, track_language
from shared.schemas.quality import Level

TOUCH_SECONDS = 0.05
"""An utterance belongs to a shot when they share more than this: word times are no finer."""


@dataclass(frozen=True)
class TrackFacts:
    """One track: what was said on it and when it speaks."""

    name: str
    language: str | None
    spoken: list[DubbedUtterance]
    timeline: ShotTimeline[DubbedUtterance]
    activity: Activity

    @property
    def synthetic(self) -> bool:
        return self.name != ORIG


@dataclass(frozen=True)
class TitleFacts:
    """Everything rows are made of. Times in seconds on the title's clock."""

    title: str
    source_language: str | None
    shots: list[Shot]
    level: Level
    utterances: ShotTimeline[Utterance]
    source: Activity
    """When the original speaks."""
    tracks: dict[str, TrackFacts]
    left: ShotTimeline[LeftSpeech] | None = None
    """Words heard in the background; None when nobody listened."""


def read_facts(scope: Scope, inputs: Mapping[str, Path]) -> TitleFacts:
    """Read the small files; tracks themselves stay on disk.

    ``scope.extra`` names ``title``, ``source_language`` and ``tracks``. Without ``activity/…`` (listening again was
    switched off) the times of the utterances stand for it.
    """
    source_language = scope.extra.get("source_language")
    utterances = read_jsonl(inputs["utterances.jsonl"], Utterance)
    heard: list[tuple[float, float]] = []
    tracks = {}
    for name in scope.extra["tracks"]:
        if name == ORIG:
            continue
        spoken = [line for path in in_order(inputs, f"dubbed/{name}") for line in read_jsonl(path, DubbedUtterance)]
        activities = [read_json(path) for path in in_order(inputs, f"activity/{name}")]
        if name == CONTROL or not heard:
            heard = [span for activity in activities for span in spans(activity["source"])] or heard
        speaks = [span for activity in activities for span in spans(activity["dub"])]
        if not activities:
            speaks = [(line.start, line.end) for line in spoken]
        tracks[name] = TrackFacts(
            name, track_language(name, source_language), spoken, ShotTimeline(map(extent, spoken)), Activity(speaks)
        )
    if not heard:
        heard = [(line.start, line.end) for line in utterances if line.status == "ok"]
    source = Activity(heard)
    residual = in_order(inputs, "residual")
    left = [item for path in residual for item in read_jsonl(path, LeftSpeech)]
    tracks[ORIG] = TrackFacts(ORIG, source_language, [], ShotTimeline([]), source)
    return TitleFacts(
        title=scope.extra["title"],
        source_language=source_language,
        shots=read_list(inputs["shots.json"], Shot),
        level=Level.model_validate(read_json(inputs["level.json"])),
        utterances=ShotTimeline((line.start, line.end, line) for line in utterances),
        source=source,
        tracks={name: tracks[name] for name in scope.extra["tracks"]},
        left=ShotTimeline((item.start, item.end, item) for item in left) if residual else None,
    )


def extent(line: DubbedUtterance) -> tuple[float, float, DubbedUtterance]:
    """From the first to the last moment that an utterance concerns, original or dubbed."""
    if line.end <= line.start:
        return line.source_start, line.source_end, line
    return min(line.start, line.source_start), max(line.end, line.source_end), line


def spans(rows: Any) -> list[tuple[float, float]]:
    return [(row["start"], row["end"]) for row in rows]
