"""``report.json``: every number of the report, for programs."""

from __future__ import annotations

from pydantic import Field

from shared.core.records import SCHEMA_VERSION, Record
from shared.schemas.quality import ShortcutResult


class TitleSummary(Record):
    title: str
    state: str = Field(description="done or failed.")
    source_language: str | None
    tracks: list[str]
    failed_languages: list[str]
    duration: float | None = Field(None, description="Seconds.")
    shots: int
    kept_shots: int
    lines: int = Field(description="Utterances of the source.")
    accepted: int = Field(description="Rows.")
    rejected: int
    gain_db: float | None = None
    notes: list[str] = Field([], description="What was chosen, repaired or left out.")
    error: str | None = None


class Limit(Record):
    value: float
    beyond: str = Field(description="above or below: the wrong side.")
    rejects: bool = Field(description="False for a guide that rejects nothing.")
    setting: str


class Spread(Record):
    """One measure on one track, over the whole run."""

    count: int
    median: float
    p10: float
    p90: float
    beyond: int = Field(description="Values on the wrong side of a limit that rejects.")


class MeasureSummary(Record):
    label: str
    unit: str
    of: str = Field(description="line or shot.")
    limits: list[Limit]
    tracks: dict[str, Spread]
    edges: list[float] = Field(description="Of the histogram's bins; the outer ones hold everything beyond.")
    counts: dict[str, list[int]] = Field(description="Track → values in each bin.")


class TrackSummary(Record):
    """One track over the whole run."""

    language: str | None = Field(description="None when titles differ in it.")
    digital_source_type: str | None = Field(None, description="IPTC's term for how it was made; None for orig.")
    accepted: int = Field(description="Rows.")
    rejected: int
    lines: dict[str, int] = Field(description="Status → lines.")


class ProbeResult(ShortcutResult):
    """A shortcut probe and the title it was made on."""

    title: str


class ShotLengths(Record):
    edges: list[float] = Field(description="Seconds; the last bin holds everything longer.")
    counts: list[int]
    kept_from: float
    kept_to: float
    kept: int
    total: int


class StageTime(Record):
    seconds: float = Field(description="Summed over tasks, of the runs in which results were computed.")
    engine_seconds: float = Field(description="Of them inside engines.")
    tasks: int


class ReportEngine(Record):
    stages: list[str]
    kind: str
    engine: str
    model: str
    weights: dict[str, str] = Field(description="Entry of the weight registry → digest of its hashes.")
    licence: str
    commercial_use: bool
    note: str


class MediaShown(Record):
    """What of the run can be seen and heard in report.html."""

    titles: int
    titles_total: int
    shots: int
    kept_shots_total: int
    bytes: int


class RunReport(Record):
    schema_version: int = SCHEMA_VERSION
    accepted: int = Field(description="Rows of pairs.parquet.")
    rejected: int = Field(description="Rows of rejects.parquet.")
    paired_shots: int = Field(description="Shots with two or more accepted tracks.")
    titles: list[TitleSummary]
    tracks: dict[str, TrackSummary]
    reasons: dict[str, int] = Field(description="First reason → rows.")
    reasons_by_track: dict[str, dict[str, int]] = Field(description="First reason → track (“” for a title) → rows.")
    thresholds: dict[str, float]
    thresholds_differ: bool = Field(description="Titles of the run were judged by different thresholds.")
    shot_lengths: ShotLengths
    measures: dict[str, MeasureSummary]
    shortcut: list[ProbeResult]
    timings: dict[str, StageTime]
    seconds: float = Field(description="Work of all tasks.")
    engine_seconds: float
    counters: dict[str, float]
    engines: list[ReportEngine]
    media: MediaShown | None = None
