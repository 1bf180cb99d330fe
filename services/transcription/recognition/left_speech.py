"""Words that are heard where no line is: what a recogniser writes for a stretch of sound, and how far to believe it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from services.transcription.recognition.gates import CREDITS, GHOSTS, phrase_share
from services.transcription.recognition.second_hearing import LEAST_SECONDS, unheard
from services.transcription.recognition.utterances import Heard, joined
from services.transcription.recognition.windows import PAD_SECONDS, covered, cut, windows
from shared.audio.signal import SPEECH_RATE, rms
from shared.core.records import LeftSpeech, Span, Utterance
from shared.core.text import UNSPACED, normalise
from shared.engines.protocols import Segment

SILENT_RMS = 1e-4
NEAR_SECONDS = 2.0
"""How far the original's words may lie from those of the background and still be the same."""
CONTENT_LETTERS = 4
"""Shorter words stand in any two sentences."""
CONTENT_CHARACTERS = 3
"""Where words are not separated: a run of characters that long in common stands for a word."""
LEAST_WORDS, ALONE_MOST = 2, 0.4
"""A single word that the original does not have is never surer: recognisers write “you” and “oh” over noise."""
LOOP_SHARE = 0.7


class Sentence(NamedTuple):
    """What a recogniser wrote for a stretch of a chunk's background; seconds from the chunk's start."""

    span: Span
    text: str
    mean_logprob: float
    no_speech: float


def listen(
    background: np.ndarray,
    language: str | None,
    engines: Mapping[str, Any],
    progress: Callable[[float], None],
    wanted: Sequence[Span] | None = None,
) -> list[Sentence]:
    """All that is heard in mono 16 kHz sound: window by window, then alone where a detector hears a wordless voice.

    Args:
        wanted: Disjoint; what has less than :data:`LEAST_SECONDS` of them is not listened to. None is everywhere.
    """
    everywhere = [Span(start=0.0, end=len(background) / SPEECH_RATE)]
    skim = getattr(engines["recognizer"], "skim", engines["recognizer"].transcribe)
    sentences: list[Sentence] = []
    words: list[Heard] = []
    plan = windows(everywhere, background) if len(background) else []
    if wanted is not None:
        plan = [window for window in plan if covered(wanted, window.start, window.end) >= LEAST_SECONDS]
    for number, window in enumerate(plan):
        progress(0.7 * number / len(plan))
        audio = cut(background, window)
        if rms(audio) < SILENT_RMS:
            continue
        for segment in skim(audio, language):
            sentences += sentence(segment, window.start)
            words += [
                Heard(
                    word.model_copy(update={"start": word.start + window.start, "end": word.end + window.start}),
                    segment.mean_logprob,
                    segment.no_speech,
                )
                for word in segment.words
            ]
    progress(0.7)
    gaps = unheard(engines["vad"].speech(background), words)
    gaps = [gap for gap in gaps if wanted is None or covered(wanted, gap.start, gap.end) >= LEAST_SECONDS]
    for number, gap in enumerate(gaps):
        progress(0.7 + 0.3 * number / len(gaps))
        audio = cut(background, gap, PAD_SECONDS)
        if rms(audio) >= SILENT_RMS:
            for segment in skim(audio, language):
                sentences += [item._replace(span=gap) for item in sentence(segment, gap.start)]
    return sorted(sentences, key=lambda item: (item.span.start, item.span.end))


def sentence(segment: Segment, offset: float) -> list[Sentence]:
    """A recogniser's segment with the times of its words, if it has any."""
    if not segment.words:
        return []
    span = Span(start=segment.words[0].start + offset, end=segment.words[-1].end + offset)
    return [Sentence(span, segment.text.strip(), segment.mean_logprob, segment.no_speech)]


def claims(words: Sequence[Heard]) -> list[Sentence]:
    """The sentences that words of a hearing come from: those of one have its figures in common."""
    out = []
    for _, some in groupby(words, key=lambda heard: (heard.mean_logprob, heard.no_speech)):
        group = list(some)
        span = Span(start=group[0].word.start, end=max(heard.word.end for heard in group))
        out.append(Sentence(span, joined(group), group[0].mean_logprob, group[0].no_speech))
    return out


def judge(heard: Sentence, utterances: Iterable[Utterance], language: str) -> LeftSpeech:
    """How much it is to be believed that somebody says this.

    The recogniser's own figures say how likely there is speech and how likely it is this text. Every content word that
    the original says at the same time is one more witness that is right as often, as far as the text consists of such
    words. With Whisper base on backgrounds of the sample under noise and of three film shots, inventions stayed below
    0.45; of the lines that were left on purpose and understood, all but one of two words lay above 0.55.
    """
    near = [
        line.text
        for line in utterances
        if line.start - NEAR_SECONDS < heard.span.end and heard.span.start < line.end + NEAR_SECONDS
    ]
    shared = shared_words(heard.text, near, language)
    words = content(heard.text, language)
    belief = (1.0 - heard.no_speech) * min(1.0, float(np.exp(heard.mean_logprob)))
    belief = 1.0 - (1.0 - belief) ** (1 + len(shared) ** 2 / max(len(words), 1))
    if not shared and len(words) < LEAST_WORDS:
        belief = min(belief, ALONE_MOST)
    if invented(heard.text, language):
        belief = 0.0
    return LeftSpeech(
        start=round(heard.span.start, 3),
        end=round(max(heard.span.end, heard.span.start), 3),
        text=heard.text,
        mean_logprob=round(heard.mean_logprob, 4),
        no_speech=round(heard.no_speech, 4),
        shared=shared,
        belief=round(belief, 4),
    )


def invented(text: str, language: str) -> bool:
    """What recognisers write over noise: greetings of video makers, credits, one phrase again and again."""
    share, times = phrase_share(text, language)
    return normalise(text) in GHOSTS or bool(CREDITS.search(text.casefold())) or (share >= LOOP_SHARE and times >= 3)


def content(text: str, language: str) -> list[str]:
    """Words that say something, each once; where words are not separated, runs of three characters."""
    plain = normalise(text, language)
    if language in UNSPACED:
        size = CONTENT_CHARACTERS
        return list(dict.fromkeys(plain[at : at + size] for at in range(0, len(plain) - size + 1)))
    return list(dict.fromkeys(word for word in plain.split() if len(word) >= CONTENT_LETTERS))


def shared_words(text: str, others: Sequence[str], language: str) -> list[str]:
    """Content words of ``text`` that one of ``others`` has too."""
    known = {word for other in others for word in content(other, language)}
    return [word for word in content(text, language) if word in known]
