"""Speech that got no text is heard a second time, by itself.

A recogniser that hears half a minute at once drops what is short, quiet or between two clear sentences. Where the voice
detector saw speech for long enough and no word landed, that stretch is heard alone. Alone there is less to go by and
more is invented, so the text has to be believed more than elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import combinations
from typing import NamedTuple

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
SURROUNDINGS_SECONDS = 2.5
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


class LoneHearing(NamedTuple):
    """What a recogniser writes for a stretch."""

    text: str
    mean_logprob: float
    no_speech: float


def hear_again(
    gap: Span,
    sounds: Sequence[np.ndarray],
    language: str,
    recognizer: Recognizer,
    speech: Sequence[Span],
    settings: TranscriptionSettings,
) -> list[Heard]:
    """The surer text of a stretch, spread over it, when two hearings believe in it and heard alike.

    It is heard alone in each of ``sounds`` (mono, 16 kHz, on the same clock); where only one is believed or they do not
    agree, again with what stands around it. A recogniser that hears one second of a crowd writes something else each
    time. Words come with times inside ``gap``: the detector knows better where a lone voice is than the recogniser,
    whose word times are poor in short windows.
    """
    supported = covered(speech, gap.start, gap.end) / (gap.end - gap.start)
    answers: list[LoneHearing] = []
    # Once is enough for what is only a witness.
    skim = getattr(recognizer, "skim", recognizer.transcribe)
    for around, hear in ((PAD_SECONDS, recognizer.transcribe), (SURROUNDINGS_SECONDS, skim)):
        for sound in sounds:
            answer = one_text(within_gap(hear(cut(sound, gap, around), language), gap, around))
            if believed(answer, gap, language, supported, settings):
                answers.append(answer)
        agreed = [
            pair
            for pair in combinations(answers, min(2, len(sounds)))
            if likeness(pair[0].text, pair[-1].text, language) >= ALIKE
        ]
        if agreed:
            best = max(agreed[0], key=lambda one: (one.mean_logprob, one.text))
            words = spread(best.text, gap, best.mean_logprob, best.no_speech)
            return words if not unlooped(words, language)[1] else []
        if not answers:
            break
    return []


def within_gap(segments: Sequence[Segment], gap: Span, around: float) -> Sequence[Segment]:
    """What was said inside a stretch that was heard with ``around`` seconds on either side; all, where it was alone."""
    if around <= PAD_SECONDS:
        return segments
    offset = max(0.0, gap.start - around)
    inside = []
    for segment in segments:
        middles = [(word, offset + (word.start + word.end) / 2) for word in segment.words]
        words = [word for word, middle in middles if gap.start - WORD_REACH <= middle <= gap.end + WORD_REACH]
        if words:
            text = "".join(word.text for word in words).strip()
            inside.append(Segment(text, words, segment.mean_logprob, segment.no_speech))
    return inside


def believed(answer: LoneHearing, gap: Span, language: str, supported: float, settings: TranscriptionSettings) -> bool:
    """Whether words that were heard by themselves are likely ones, and none that recognisers make up."""
    reason = refuse(
        answer.text,
        language,
        seconds=gap.end - gap.start,
        mean_logprob=answer.mean_logprob,
        no_speech=answer.no_speech,
        supported=supported,
        sparse=False,
        settings=settings,
    )
    return reason is None and answer.mean_logprob >= BELIEVED_LOGPROB and normalise(answer.text) not in GHOSTS


def likeness(one: str, other: str, language: str) -> float:
    """Share of the characters that two texts have in common, 0–1."""
    return SequenceMatcher(None, normalise(one, language), normalise(other, language), autojunk=False).ratio()


def one_text(segments: Sequence[Segment]) -> LoneHearing:
    """Text, mean log-probability and probability of no speech over all segments; a repeated segment counts once."""
    kept = [segment for i, segment in enumerate(segments) if i == 0 or segment.text != segments[i - 1].text]
    if not kept:
        return LoneHearing("", -10.0, 1.0)
    return LoneHearing(
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
