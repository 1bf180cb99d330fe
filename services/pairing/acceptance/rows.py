"""One row a shot and track: where it lies and what was measured on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from services.pairing.acceptance.facts import TOUCH_SECONDS, TitleFacts, TrackFacts
from shared.core.records import DubbedUtterance, LeftSpeech, Shot
from shared.quality.isochrony import isochrony
from shared.quality.spans import total
from shared.schemas import layout
from shared.schemas.digital_source import track_source
from shared.schemas.pairs import PairRow

NOT_SPOKEN = frozenset({"failed", "dropped"})


class ShotMeasures(NamedTuple):
    """What was measured of one track of one shot beside its lines."""

    null_residual_db: float | None
    left: Sequence[LeftSpeech] | None
    """What is heard in the shot's background; None when nobody listened."""
    speech_dubbed: float | None
    """Share of the original's speech in the shot that the track says."""


def make_row(
    facts: TitleFacts,
    shot: Shot,
    track: TrackFacts,
    measures: ShotMeasures,
    *,
    exported: bool,
    engines: Mapping[str, str],
) -> PairRow:
    """Measure one track of one shot; judging it is :mod:`services.pairing.acceptance.criteria`'s part."""
    left = measures.left
    lines = track.timeline.within(shot.start, shot.end, TOUCH_SECONDS)
    spoken = [line for line in lines if line.status not in NOT_SPOKEN]
    source = facts.utterances.within(shot.start, shot.end, TOUCH_SECONDS)
    timing = None
    if track.synthetic:
        timing = isochrony(facts.source.within(shot.start, shot.end), track.activity.within(shot.start, shot.end))
    language, confidence = heard_language(spoken)
    lengths = [line.source_end - line.source_start for line in spoken]
    return PairRow(
        title=facts.title,
        shot=shot.index,
        start=shot.start,
        end=shot.end,
        source_language=facts.source_language,
        track=track.name,
        language=track.language,
        clip_path=layout.clip_path(facts.title, shot.index, track.name, facts.source_language) if exported else None,
        track_path=layout.track_path(facts.title, track.name),
        speech_path=layout.speech_path(facts.title, track.name),
        background_path=layout.stem_path(facts.title, "background"),
        digital_source_type=track_source(track.name),
        speech_ratio=total(track.activity.within(shot.start, shot.end)) / shot.duration,
        speech_dubbed=measures.speech_dubbed if track.synthetic else None,
        utterances=sum(line.status == "ok" for line in source),
        dropped_utterances=sum(line.status == "dropped" for line in source),
        fit_ratio=weighted(spoken, lambda line: line.fit_ratio, lengths),
        overflow_ms=max((line.overflow_ms for line in lines), default=0.0) if track.synthetic else None,
        isochrony_iou=timing.iou if timing else None,
        round_trip_cer=weighted(spoken, lambda line: line.round_trip_cer, [max(len(line.text), 1) for line in spoken]),
        detected_language=language,
        language_confidence=confidence,
        speaker_similarity=weighted(spoken, lambda line: line.speaker_similarity, lengths),
        null_residual_db=measures.null_residual_db,
        residual_speech=None if left is None or not track.synthetic else surest(left),
        loudness_difference_lu=max(
            (line.loudness_difference_lu for line in spoken if line.loudness_difference_lu is not None),
            key=abs,
            default=None,
        ),
        engines=dict(engines),
    )


def surest(left: Sequence[LeftSpeech]) -> float:
    """Belief in the surest words; 0 when nothing is heard."""
    return max((item.belief for item in left), default=0.0)


def weighted(
    lines: Sequence[DubbedUtterance], value: Callable[[DubbedUtterance], float | None], weights: Sequence[float]
) -> float | None:
    """Weighted mean over the lines that have the value; None when none has."""
    known = [
        (number, weight) for line, weight in zip(lines, weights, strict=True) if (number := value(line)) is not None
    ]
    mass = sum(weight for _, weight in known)
    return sum(number * weight for number, weight in known) / mass if mass > 0 else None


def heard_language(lines: Sequence[DubbedUtterance]) -> tuple[str | None, float | None]:
    """The language heard for most of the speech, and the mean confidence in it, both by seconds."""
    seconds: dict[str, float] = defaultdict(float)
    belief: dict[str, float] = defaultdict(float)
    for line in lines:
        if line.detected_language is not None and line.end > line.start:
            seconds[line.detected_language] += line.end - line.start
            belief[line.detected_language] += (line.end - line.start) * (line.language_confidence or 0.0)
    if not seconds:
        return None, None
    language = max(seconds, key=lambda code: seconds[code])
    return language, belief[language] / seconds[language]
