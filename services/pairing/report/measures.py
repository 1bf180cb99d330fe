"""The figures that lines and shots are judged by: where each is found, its scale, its thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from services.pairing.acceptance.criteria import MIN_LANGUAGE_SECONDS
from services.pairing.acceptance.rows import NOT_SPOKEN
from shared.core.records import DubbedUtterance
from shared.schemas.layout import CONTROL
from shared.schemas.pairs import PairRow
from shared.settings.models import FitSettings


class Bound(NamedTuple):
    """A line in a histogram."""

    value: float
    beyond: Literal["above", "below"]
    """On which side a value is wrong."""
    rejects: bool
    """A row beyond it is rejected; otherwise the line is a guide."""
    setting: str


@dataclass(frozen=True)
class Measure:
    """One figure. Values outside ``low``–``high`` are drawn in the first or last bin."""

    name: str
    label: str
    unit: str
    help: str
    low: float
    high: float
    bins: int
    limits: tuple[tuple[str, Literal["above", "below"], float], ...] = ()
    """Setting, wrong side, factor (−1 for the lower end of a ± limit)."""
    line: Callable[[DubbedUtterance], float | None] | None = None
    row: Callable[[PairRow], float | None] | None = None
    control: bool = True
    """Whether it says anything about the control track."""

    def bounds(self, thresholds: Mapping[str, float], fit: FitSettings) -> list[Bound]:
        bounds = []
        for setting, side, factor in self.limits:
            if setting in thresholds:
                bounds.append(Bound(factor * thresholds[setting], side, True, f"pairing.{setting}"))
            elif hasattr(fit, setting):
                bounds.append(Bound(factor * getattr(fit, setting), side, False, f"dubbing.fit.{setting}"))
        return bounds


def right_language(line: DubbedUtterance) -> float | None:
    """Confidence in the language heard, negative when it is another than wanted; None for lines too short to tell."""
    if line.detected_language is None or line.end - line.start < MIN_LANGUAGE_SECONDS:
        return None
    sign = 1 if line.detected_language == line.language else -1
    return sign * (line.language_confidence or 0.0)


MEASURES = (
    Measure(
        "round_trip_cer",
        "Round-trip error",
        "CER",
        "Character error rate of listening to the dubbed line again, against the words it was to say.",
        0,
        1,
        20,
        (("max_round_trip_cer", "above", 1),),
        line=lambda line: line.round_trip_cer,
        control=False,
    ),
    Measure(
        "language",
        "Language heard",
        "confidence",
        "How sure the recogniser is of the right language; below 0 it hears another. Lines over 2 s.",
        -1,
        1,
        20,
        (("min_language_confidence", "below", -1),),
        line=right_language,
    ),
    Measure(
        "speaker_similarity",
        "Speaker similarity",
        "cosine",
        "Voice embedding of the dubbed line against the original speaker's. Nothing is rejected by it.",
        -0.2,
        1,
        24,
        line=lambda line: line.speaker_similarity,
    ),
    Measure(
        "pitch_correlation",
        "Melody",
        "correlation",
        "Pitch of the dubbed line against the original's, while both speak. Nothing is rejected by it.",
        -1,
        1,
        20,
        line=lambda line: line.pitch_correlation,
        control=False,
    ),
    Measure(
        "energy_correlation",
        "Loudness, moment by moment",
        "correlation",
        "Level of the dubbed line against the original's while either speaks. Nothing is rejected by it.",
        -1,
        1,
        20,
        line=lambda line: line.energy_correlation,
        control=False,
    ),
    Measure(
        "loudness_difference_lu",
        "Loudness difference",
        "LU",
        "Dubbed minus original speech, line by line.",
        -10,
        10,
        20,
        (("max_loudness_difference_lu", "below", -1), ("max_loudness_difference_lu", "above", 1)),
        line=lambda line: line.loudness_difference_lu,
    ),
    Measure(
        "fit_ratio",
        "Fit ratio",
        "× source",
        "Natural length of the dubbed line ÷ the original line. Between the guides no change of tempo is needed.",
        0.4,
        2,
        32,
        (("free_low", "below", 1), ("free_high", "above", 1)),
        line=lambda line: line.fit_ratio,
        control=False,
    ),
    Measure(
        "stretch",
        "Tempo change",
        "×",
        "Applied after synthesis; above 1 is faster. The guides are the hard limits of the fit.",
        0.6,
        1.6,
        20,
        (("hard_low", "below", 1), ("hard_high", "above", 1)),
        line=lambda line: line.stretch,
        control=False,
    ),
    Measure(
        "overflow_ms",
        "Overflow",
        "ms",
        "By how much a line runs past its slot.",
        0,
        1000,
        20,
        (("max_overflow_ms", "above", 1),),
        line=lambda line: line.overflow_ms,
    ),
    Measure(
        "isochrony_iou",
        "Isochrony",
        "IoU",
        "Time in which both the track and the original speak ÷ time in which either does, shot by shot.",
        0,
        1,
        20,
        (("min_isochrony_iou", "below", 1),),
        row=lambda row: row.isochrony_iou,
    ),
    Measure(
        "speech_dubbed",
        "Speech dubbed",
        "share",
        "Share of the original's speech that the track says, shot by shot. Nothing is rejected by it.",
        0,
        1,
        20,
        row=lambda row: row.speech_dubbed,
    ),
    Measure(
        "null_residual_db",
        "Null test",
        "dBFS",
        "Peak of track − speech − background, shot by shot. The first bin also holds −200: equal to the last bit.",
        -150,
        0,
        15,
        (("max_null_residual_db", "above", 1),),
        row=lambda row: row.null_residual_db,
    ),
    Measure(
        "residual_speech",
        "Speech in the background",
        "belief",
        "How sure the recogniser is that somebody is understood in the background all tracks share, shot by shot.",
        0,
        1,
        20,
        (("max_residual_speech", "above", 1),),
        row=lambda row: row.residual_speech,
    ),
)


def line_values(line: DubbedUtterance, track: str) -> dict[str, float]:
    """Measures of one spoken line; empty when it was not spoken."""
    if line.status in NOT_SPOKEN:
        return {}
    values = {m.name: m.line(line) for m in MEASURES if m.line and (m.control or track != CONTROL)}
    return {name: value for name, value in values.items() if value is not None}


def row_values(row: PairRow) -> dict[str, float]:
    """Measures of one shot and track."""
    values = {m.name: m.row(row) for m in MEASURES if m.row}
    return {name: value for name, value in values.items() if value is not None}


def is_beyond(value: float, bounds: list[Bound]) -> bool:
    """Whether a value lies on the wrong side of a limit that rejects."""
    return any(b.rejects and (value > b.value if b.beyond == "above" else value < b.value) for b in bounds)
