"""Speech that got no text is heard a second time, by itself.

A recogniser that hears half a minute at once drops what is short, quiet or between two clear sentences. Where the voice
detector saw speech for long enough and no word landed, that stretch is heard alone. Alone there is less to go by and
more is invented, so the text has to be believed more than elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from services.transcription.recognition.gates import GHOSTS, refuse
from services.transcription.recognition.hearings import unlooped
from services.transcription.recognition.utterances import Heard
from services.transcription.recognition.windows import PAD_SECONDS, covered, cut
from shared.core.records import Span, Word
from shared.core.text import normalise
from shared.engines.protocols import Recognizer, Segment
from shared.settings.models import TranscriptionSettings

LEAST_SECONDS = 0.7
"""Shorter speech without text is a breath, a laugh or the edge of a word."""
WORD_REACH = 0.3
"""Sound this far from a word still belongs to it."""
BELIEVED_LOGPROB = -1.0
ALIKE = 0.7
"""Two hearings of one text share at least this much of their characters."""


def unheard(speech: Sequence[Span], words: Sequence[Heard]) -> list[Span]:
    """Stretches of ``speech`` of at least :data:`LEAST_SECONDS` that no word is near; increasing, disjoint."""
    out = []
    for span in speech:
        at = span.start
        for heard in sorted(words, key=lambda heard: heard.word.start):
            first, last = heard.word.start - WORD_REACH, heard.word.end + WORD_REACH
            if last <= at or first >= span.end:
                continue
            if first - at >= LEAST_SECONDS:
                out.append(Span(start=at, end=first))
            at = max(at, last)
        if span.end - at >= LEAST_SECONDS:
            out.append(Span(start=at, end=span.end))
    return out


def hear_again(
    gap: Span,
    sounds: Sequence[np.ndarray],
    language: str,
    recognizer: Recognizer,
    speech: Sequence[Span],
    settings: TranscriptionSettings,
) -> list[Heard]:
    """The surer text of a stretch, spread over it, when it is believable and heard alike in all of ``sounds``.

    Those are mono, 16 kHz, on the same clock.
    A recogniser that hears one second of a crowd writes something else each time. Words come with times inside ``gap``:
    the detector knows better where a lone voice is than the recogniser, whose word times are poor in short windows.
    """
    candidates: list[tuple[float, str, float]] = []
    for sound in sounds:
        text, logprob, no_speech = one_text(recognizer.transcribe(cut(sound, gap, PAD_SECONDS), language))
        reason = refuse(
            text,
            language,
            seconds=gap.end - gap.start,
            mean_logprob=logprob,
            no_speech=no_speech,
            supported=covered(speech, gap.start, gap.end) / (gap.end - gap.start),
            sparse=False,
            settings=settings,
        )
        if reason or logprob < BELIEVED_LOGPROB or normalise(text) in GHOSTS:
            return []
        if candidates and likeness(candidates[0][1], text, language) < ALIKE:
            return []
        candidates.append((logprob, text, no_speech))
    logprob, text, no_speech = max(candidates)
    words = spread(text, gap, logprob, no_speech)
    return words if not unlooped(words, language)[1] else []


def likeness(one: str, other: str, language: str) -> float:
    """Share of the characters that two texts have in common, 0–1."""
    return SequenceMatcher(None, normalise(one, language), normalise(other, language), autojunk=False).ratio()


def one_text(segments: Sequence[Segment]) -> tuple[str, float, float]:
    """Text, mean log-probability and probability of no speech over all segments; a repeated segment counts once."""
    kept = [segment for i, segment in enumerate(segments) if i == 0 or segment.text != segments[i - 1].text]
    if not kept:
        return "", -10.0, 1.0
    return (
        " ".join(segment.text.strip() for segment in kept),
        float(np.mean([segment.mean_logprob for segment in kept])),
        float(np.mean([segment.no_speech for segment in kept])),
    )


def spread(text: str, gap: Span, logprob: float, no_speech: float) -> list[Heard]:
    """The words of ``text`` one after another over all of ``gap``, each as long as its share of the letters."""
    words = text.split() or [text]
    ends = np.cumsum([len(word) for word in words]) / sum(len(word) for word in words)
    starts = [0.0, *ends[:-1]]
    length = gap.end - gap.start
    return [
        Heard(
            Word(start=gap.start + first * length, end=gap.start + last * length, text=f" {word}", probability=0.0),
            logprob,
            no_speech,
        )
        for word, first, last in zip(words, starts, ends, strict=True)
    ]
