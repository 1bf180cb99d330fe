"""Where a dubbed line may sound: its slot. Rules and reasons: docs/fitting.md."""

from __future__ import annotations

from collections.abc import Sequence

from shared.core.records import Shot, Span, Utterance
from shared.settings.models import FitSettings


def slots(utterances: Sequence[Utterance], shots: Sequence[Shot], end: float, fit: FitSettings) -> list[Span]:
    """The slot of every utterance, in the same order; each starts with its utterance.

    A slot is the utterance and a share of the silence after it, less a guard. It never passes the end of the shot in
    which the utterance ends, nor ``end`` (of the chunk, seconds), nor the start of the next line unless the two
    overlap already in the source.
    """
    out = []
    for this in utterances:
        stop = min(this.end, end)
        following = [other for other in utterances if other.start >= stop and other is not this]
        upcoming = min(following, key=lambda other: other.start, default=None)
        talked_over = any(other is not this and other.start < stop < other.end for other in utterances)
        if not talked_over:
            gap = (upcoming.start if upcoming else end) - stop
            same = upcoming is not None and upcoming.speaker == this.speaker
            share = fit.same_speaker_gap if same else fit.other_speaker_gap
            reach = stop + max(0.0, share * gap - fit.guard_seconds)
            stop = max(stop, min(reach, shot_end(shots, stop), end))
        out.append(Span(start=min(this.start, stop), end=stop))
    return out


def shot_end(shots: Sequence[Shot], time: float) -> float:
    """End of the shot in which something that ends at ``time`` ends; infinity outside all shots."""
    return next((shot.end for shot in shots if shot.start < time <= shot.end), float("inf"))
