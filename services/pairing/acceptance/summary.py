"""``quality.json``: what the report says of a title's tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from services.pairing.acceptance.coverage import DUBBED, coverage, share_dubbed
from services.pairing.acceptance.criteria import MIN_LANGUAGE_SECONDS
from services.pairing.acceptance.facts import TitleFacts, TrackFacts
from services.pairing.acceptance.rows import NOT_SPOKEN
from shared.core.records import SAMPLE_RATE, DubbedUtterance
from shared.pipeline.planner import keeps
from shared.quality.isochrony import isochrony
from shared.quality.null import Residual
from shared.schemas.pairs import PairRow
from shared.schemas.quality import IsochronySummary, NullTest, QualityReport, ShortcutResult, TrackQuality
from shared.settings.models import PairingSettings

THRESHOLDS = (
    "min_shot_seconds",
    "max_shot_seconds",
    "max_overflow_ms",
    "max_null_residual_db",
    "max_residual_speech",
    "max_loudness_difference_lu",
    "max_round_trip_cer",
    "min_language_confidence",
    "min_isochrony_iou",
)


def quality_report(
    facts: TitleFacts,
    rows: Sequence[PairRow],
    nulls: Mapping[str, Residual],
    shortcuts: list[ShortcutResult],
    *,
    samples: int,
    settings: PairingSettings,
) -> QualityReport:
    accepted = Counter(row.track for row in rows if row.accepted)
    return QualityReport(
        title=facts.title,
        source_language=facts.source_language,
        samples=samples,
        gain_db=facts.level.gain_db,
        shots=len(facts.shots),
        kept_shots=sum(keeps(shot, settings) for shot in facts.shots),
        shot_seconds=[shot.duration for shot in facts.shots],
        accepted=accepted.total(),
        rejected=len(rows) - accepted.total(),
        reasons=dict(Counter(row.reason for row in rows if row.reason)),
        thresholds={name: getattr(settings, name) for name in THRESHOLDS},
        tracks={
            name: track_quality(facts, track, nulls.get(name), samples, accepted[name])
            for name, track in facts.tracks.items()
        },
        shortcut=shortcuts,
    )


def track_quality(
    facts: TitleFacts, track: TrackFacts, null: Residual | None, samples: int, accepted: int
) -> TrackQuality:
    seconds_by_fate = coverage(facts, track, 0.0, samples / SAMPLE_RATE) if track.synthetic else {}
    before = facts.level.true_peak_dbtp.get(track.name)
    spoken = [line for line in track.spoken if line.status not in NOT_SPOKEN]
    judged = [line for line in spoken if line.detected_language and line.end - line.start >= MIN_LANGUAGE_SECONDS]
    right = sum(line.detected_language == track.language for line in judged)

    def middle(value: Callable[[DubbedUtterance], float | None]) -> float | None:
        return middle_of(value(line) for line in spoken)

    return TrackQuality(
        language=track.language,
        samples=samples,
        true_peak_dbtp=None if before is None else before + facts.level.gain_db,
        null=NullTest(peak_dbfs=null.peak_dbfs, rms_dbfs=null.rms_dbfs) if null else None,
        utterances=dict(Counter(line.status for line in track.spoken)),
        isochrony=isochrony_summary(facts, track) if track.synthetic else None,
        fit_ratio=middle(lambda line: line.fit_ratio),
        loudness_difference_lu=middle_of(
            abs(line.loudness_difference_lu) for line in spoken if line.loudness_difference_lu is not None
        ),
        round_trip_cer=middle(lambda line: line.round_trip_cer),
        speaker_similarity=middle(lambda line: line.speaker_similarity),
        pitch_correlation=middle(lambda line: line.pitch_correlation),
        energy_correlation=middle(lambda line: line.energy_correlation),
        max_overflow_ms=max((line.overflow_ms for line in track.spoken), default=0.0) if track.synthetic else None,
        language_right=right / len(judged) if judged else None,
        speech_dubbed=share_dubbed(seconds_by_fate),
        not_dubbed={fate: round(seconds, 3) for fate, seconds in sorted(seconds_by_fate.items()) if fate != DUBBED},
        accepted_shots=accepted,
    )


def isochrony_summary(facts: TitleFacts, track: TrackFacts) -> IsochronySummary:
    """Medians over the shots where the original or the track speaks."""
    timings = []
    for shot in facts.shots:
        window = (shot.start, shot.end)
        timing = isochrony(facts.source.within(*window), track.activity.within(*window))
        if timing:
            timings.append(timing)
    return IsochronySummary(
        shots=len(timings),
        iou=middle_of(timing.iou for timing in timings),
        overlap=middle_of(timing.overlap for timing in timings),
        onset_error=middle_of(abs(timing.onset_error) for timing in timings if timing.onset_error is not None),
        offset_error=middle_of(abs(timing.offset_error) for timing in timings if timing.offset_error is not None),
    )


def middle_of(values: Iterable[float | None]) -> float | None:
    """Median of what is there; None when nothing is."""
    known = [value for value in values if value is not None]
    return median(known) if known else None
