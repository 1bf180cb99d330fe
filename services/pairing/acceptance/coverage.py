"""How much of the original's speech a track says, and why it leaves out the rest."""

from __future__ import annotations

from collections import defaultdict

from services.pairing.acceptance.facts import TitleFacts, TrackFacts
from services.pairing.acceptance.rows import NOT_SPOKEN
from shared.quality.spans import clip, union

WORD_REACH_SECONDS = 0.3
"""Voice this far from a line still belongs to it: breath, and edges that detectors place differently."""
LEAST_SECONDS = 0.3
"""A shorter stretch of voice without a line is no word."""
DUBBED, WITHOUT_WORDS, FAILED = "dubbed", "without_words", "failed"


def coverage(facts: TitleFacts, track: TrackFacts, start: float, end: float) -> dict[str, float]:
    """Seconds of the original's speech in ``[start, end]`` by what became of them on a track.

    People who speak at once count each. ``dubbed``; ``without_words``, voice that got no line (songs, whispers, voices
    under others); ``failed``, lines that could not be spoken; and the reasons of lines that were dropped.
    """
    spoken = {line.id for line in track.spoken if line.status not in NOT_SPOKEN}
    lines = facts.utterances.within(start, end)
    seconds_by_fate: dict[str, float] = defaultdict(float)
    for line in lines:
        dropped = (line.reason or "dropped") if line.status == "dropped" else None
        fate = dropped or (DUBBED if line.id in spoken else FAILED)
        seconds_by_fate[fate] += min(line.end, end) - max(line.start, start)
    near = union((line.start - WORD_REACH_SECONDS, line.end + WORD_REACH_SECONDS) for line in lines)
    for first, last in facts.source.within(start, end):
        inside = clip(near, first, last)
        edges = [first, *(edge for span in inside for edge in span), last]
        gaps = [edges[i + 1] - edges[i] for i in range(0, len(edges), 2)]
        seconds_by_fate[WITHOUT_WORDS] += sum(gap for gap in gaps if gap >= LEAST_SECONDS)
    return {fate: seconds for fate, seconds in seconds_by_fate.items() if seconds > 0}


def share_dubbed(seconds_by_fate: dict[str, float]) -> float | None:
    """Share of the speech that is dubbed; None where nobody speaks."""
    total = sum(seconds_by_fate.values())
    return seconds_by_fate.get(DUBBED, 0.0) / total if total else None
