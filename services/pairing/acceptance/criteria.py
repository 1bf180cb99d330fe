"""Which rows become pairs. Every threshold is a setting; every rejection has a code and its figures in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from shared.core.records import DubbedUtterance, LeftSpeech
from shared.schemas.layout import CONTROL, ORIG
from shared.schemas.pairs import PairRow
from shared.schemas.reasons import Reason
from shared.settings.models import PairingSettings

MIN_LANGUAGE_SECONDS = 2.0
"""Recognisers often take shorter speech for another language, even when people speak it."""
MIN_SPEECH_RATIO = 0.05
"""Less speech activity than this is a breath or a false alarm, not untranscribed speech."""

Verdict = tuple[Reason, str]


def objections(
    row: PairRow,
    lines: Sequence[DubbedUtterance],
    source_ratio: float,
    settings: PairingSettings,
    left: Sequence[LeftSpeech] = (),
) -> list[Verdict]:
    """All that speaks against one row by itself, in order of precedence.

    Args:
        row: With its measures filled in.
        lines: The dubbed utterances that touch the shot; empty for orig.
        source_ratio: Share of the shot in which the original speaks.
        left: What is heard in the shot's background.
    """
    verdicts = shot_objections(row, source_ratio, settings)
    return verdicts if row.track == ORIG else verdicts + dub_objections(row, lines, settings, left)


def shot_objections(row: PairRow, source_ratio: float, settings: PairingSettings) -> list[Verdict]:
    """What is wrong with the shot, whatever the track."""
    assert row.start is not None and row.end is not None
    seconds = row.end - row.start
    verdicts: list[Verdict] = []
    if seconds < settings.min_shot_seconds:
        verdicts.append((Reason.TOO_SHORT, f"{seconds:.2f} s, at least {settings.min_shot_seconds:g} s are wanted"))
    if seconds > settings.max_shot_seconds:
        verdicts.append((Reason.TOO_LONG, f"{seconds:.2f} s, at most {settings.max_shot_seconds:g} s are wanted"))
    if row.utterances == 0 and (source_ratio > MIN_SPEECH_RATIO or row.dropped_utterances):
        heard = f"{source_ratio:.0%} of the shot is speech, utterances dropped: {row.dropped_utterances}"
        verdicts.append((Reason.NO_TRANSCRIPT, heard))
    elif row.utterances == 0:
        verdicts.append((Reason.NO_SPEECH, "no utterance touches the shot"))
    return verdicts


def dub_objections(
    row: PairRow, lines: Sequence[DubbedUtterance], settings: PairingSettings, left: Sequence[LeftSpeech] = ()
) -> list[Verdict]:
    """What is wrong with a synthetic track of the shot."""
    verdicts: list[Verdict] = []
    if row.null_residual_db is not None and row.null_residual_db > settings.max_null_residual_db:
        limit = f"limit {settings.max_null_residual_db:g}"
        verdicts.append((Reason.NULL_RESIDUAL, f"{row.null_residual_db:.1f} dBFS, {limit}"))
    if row.residual_speech is not None and row.residual_speech > settings.max_residual_speech:
        loud = max(left, key=lambda item: item.belief, default=None)
        words = f"“{loud.text}” at {loud.start:.1f} s, " if loud else ""
        sure = f"{words}believed with {row.residual_speech:.2f}, limit {settings.max_residual_speech:g}"
        verdicts.append((Reason.SPEECH_IN_BACKGROUND, sure))
    failed = [f"{line.id}: {line.reason or 'unknown'}" for line in lines if line.status == "failed"]
    if failed:
        verdicts.append((Reason.UTTERANCE_FAILED, "; ".join(failed)))
    if (row.overflow_ms or 0.0) > settings.max_overflow_ms:
        verdicts.append((Reason.OVERFLOW, f"{row.overflow_ms:.0f} ms, limit {settings.max_overflow_ms:g}"))
    judged_seconds = sum(line.end - line.start for line in lines if line.detected_language is not None)
    if (
        row.detected_language not in {None, row.language}
        and judged_seconds >= MIN_LANGUAGE_SECONDS
        and (row.language_confidence or 0.0) >= settings.min_language_confidence
    ):
        sure = f"heard as {row.detected_language} with {row.language_confidence:.2f}"
        verdicts.append((Reason.WRONG_LANGUAGE, sure))
    # The control says the recogniser's own words: what it hears of them says nothing about a dub.
    if row.track != CONTROL and (row.round_trip_cer or 0.0) > settings.max_round_trip_cer:
        errors = f"error rate {row.round_trip_cer:.2f}, limit {settings.max_round_trip_cer:g}"
        verdicts.append((Reason.ROUND_TRIP, errors))
    if abs(row.loudness_difference_lu or 0.0) > settings.max_loudness_difference_lu:
        limit = f"limit ±{settings.max_loudness_difference_lu:g}"
        verdicts.append((Reason.LOUDNESS, f"{row.loudness_difference_lu:+.1f} LU, {limit}"))
    if row.isochrony_iou is not None and row.utterances and row.isochrony_iou < settings.min_isochrony_iou:
        wanted = f"at least {settings.min_isochrony_iou:g} is wanted"
        verdicts.append((Reason.ISOCHRONY, f"IoU {row.isochrony_iou:.2f}, {wanted}"))
    return verdicts


def judge(row: PairRow, verdicts: Sequence[Verdict]) -> PairRow:
    """The row with its verdict written in."""
    reasons = [reason.value for reason, _ in verdicts]
    return row.model_copy(
        update={
            "accepted": not verdicts,
            "reason": reasons[0] if reasons else None,
            "reasons": reasons,
            "detail": verdicts[0][1] if verdicts else None,
        }
    )


def need_counterpart(rows: Iterable[PairRow]) -> list[PairRow]:
    """Reject the only accepted track of a shot: a pair is a shot with two or more of its tracks."""
    rows = list(rows)
    accepted = Counter(row.shot for row in rows if row.accepted)
    alone = [(Reason.NO_COUNTERPART, "every other track of the shot was rejected")]
    return [judge(row, alone) if row.accepted and accepted[row.shot] < 2 else row for row in rows]
