"""``level.json`` and ``quality.json``: what was measured on a title's finished tracks. Documented in docs/output.md."""

from __future__ import annotations

from pydantic import Field

from shared.core.records import SCHEMA_VERSION, Record


class Level(Record):
    """The one gain of a title."""

    schema_version: int = SCHEMA_VERSION
    gain_db: float = Field(description="Applied to orig, control, every dub and every stem alike; never above 0.")
    ceiling_dbtp: float
    true_peak_dbtp: dict[str, float] = Field(description="Track → its true peak before the gain.")


class Gain(Record):
    """``gain_db`` of :class:`Level` alone."""

    gain_db: float


class NullTest(Record):
    """Track − speech − background, dBFS; −200 when equal to the last bit."""

    peak_dbfs: float
    rms_dbfs: float


class IsochronySummary(Record):
    """Speech activity of the track against the original's, over the shots where either speaks."""

    shots: int = 0
    iou: float | None = Field(None, description="Median over shots.")
    overlap: float | None = Field(None, description="Median over shots, share of the original's speech.")
    onset_error: float | None = Field(None, description="Median size of the error of a shot's first onset, seconds.")
    offset_error: float | None = Field(None, description="Median size of the error of a shot's last offset, seconds.")


class TrackQuality(Record):
    """One track of the title. Fields that need dubbed utterances are None for orig."""

    language: str | None
    samples: int
    true_peak_dbtp: float | None = Field(None, description="After the gain.")
    null: NullTest | None = None
    utterances: dict[str, int] = Field({}, description="Status (ok, overflow, failed, dropped) → count.")
    isochrony: IsochronySummary | None = None
    fit_ratio: float | None = Field(None, description="Median over utterances, like all below.")
    loudness_difference_lu: float | None = Field(None, description="Median of its size.")
    round_trip_cer: float | None = None
    speaker_similarity: float | None = None
    pitch_correlation: float | None = None
    energy_correlation: float | None = None
    max_overflow_ms: float | None = None
    language_right: float | None = Field(None, description="Share of utterances over 2 s heard in the right language.")
    speech_dubbed: float | None = Field(None, description="Share of the original's speech that the track says, 0–1.")
    not_dubbed: dict[str, float] = Field({}, description="Why → seconds of the original's speech that it leaves out.")
    accepted_shots: int = 0


class ShortcutResult(Record):
    """Can a linear classifier tell track ``a`` from ``b`` where nobody speaks?"""

    a: str
    b: str
    auc: float | None = Field(description="0.5 is perfect; None when there is too little to judge by.")
    blocks: int
    shots: int
    identical: float | None = Field(description="Share of blocks that are the same in both.")
    reason: str | None = None


class QualityReport(Record):
    """``quality.json`` of a title."""

    schema_version: int = SCHEMA_VERSION
    title: str
    source_language: str | None
    samples: int
    gain_db: float
    shots: int
    kept_shots: int
    shot_seconds: list[float] = Field(description="Length of every shot, kept or not.")
    accepted: int = Field(description="Rows.")
    rejected: int
    reasons: dict[str, int] = Field(description="First reason → rows.")
    thresholds: dict[str, float] = Field(description="Settings that rows were judged by.")
    tracks: dict[str, TrackQuality]
    shortcut: list[ShortcutResult]
