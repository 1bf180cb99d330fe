"""Cues that hold many sentences, or a whole film, taken apart at the times where the recogniser hears their words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

from services.transcription.recognition.utterances import Heard, joined, settle, split
from shared.core.records import Span, Word
from shared.core.text import UNSPACED, normalise
from shared.media.subtitles import shared_time
from shared.transcripts.transcript import Given

LONGEST_CUE = 7.5
"""Seconds: longer than subtitles stand by the usual rules. What stands longer and has several sentences is cut."""
ALWAYS = 15.0
"""Seconds from which on a cue is cut whatever it holds."""
MOST_TOKENS = 5000
"""Words of a cue that are looked for in what is heard; longer texts keep the times of the speech that is seen."""
SENTENCE = re.compile(r"[^.!?…。！？．]*+(?:[.!?…。！？．]++[\"'”’»」』)]*+\s*+|$)")


class Part(NamedTuple):
    """A sentence of a long cue with its time by the speech that is seen in the title, and whether it is such a part."""

    given: Given
    rough: bool


def split_long_cues(given: Sequence[Given], speech: Sequence[Span]) -> list[Part]:
    """Long cues as one part for each sentence, laid out over the speech inside the cue by its share of characters.

    Args:
        given: Lines on the title's clock.
        speech: Where the title's sound holds speech. The same for every chunk, so that each finds the same parts.
    """
    parts = []
    for item in given:
        cue, length = item.cue, item.cue.end - item.cue.start
        sentences = [sentence.strip() for sentence in SENTENCE.findall(cue.text) if sentence.strip()]
        if item.reason or length <= LONGEST_CUE or (len(sentences) < 2 and length <= ALWAYS):
            parts.append(Part(item, False))
            continue
        inside = [
            Span(start=max(span.start, cue.start), end=min(span.end, cue.end))
            for span in speech
            if span.end > cue.start and span.start < cue.end
        ] or [Span(start=cue.start, end=cue.end)]
        total = sum(span.end - span.start for span in inside)
        for (start, end), text in zip(shared_time(0.0, total, sentences), sentences, strict=True):
            times = spoken_time(inside, start), max(spoken_time(inside, end), spoken_time(inside, start) + 0.05)
            parts.append(Part(Given(cue._replace(start=times[0], end=times[1], text=text)), True))
    return parts


def spoken_time(spans: Sequence[Span], seconds: float) -> float:
    """The time at which so many seconds have been spoken."""
    for span in spans:
        if seconds <= span.end - span.start:
            return span.start + seconds
        seconds -= span.end - span.start
    return spans[-1].end


def placed(
    parts: Sequence[Given], heard: Sequence[Word], speech: Sequence[Span], language: str, gap: float, longest: float
) -> list[Given]:
    """Parts of one cue as lines where their words are heard, broken as recognised speech is.

    Args:
        parts: Sentences one after the other, on the clock of ``heard``.
        heard: Words of the recogniser.
        gap, longest: As for :func:`services.transcription.recognition.utterances.split`, seconds.
    """
    tokens = [token for part in parts for token in tokens_of(part, language)]
    if not tokens or len(tokens) > MOST_TOKENS:
        return list(parts)
    words = aligned(tokens, spelled(heard, language))
    groups = split(settle([Heard(word, 0.0, 0.0) for word in words], speech), gap, longest)
    cue = parts[0].cue
    return [
        Given(cue._replace(start=group[0].word.start, end=group[-1].word.end, text=joined(group))) for group in groups
    ]


def tokens_of(part: Given, language: str) -> list[Word]:
    """Words of a part (characters in scripts without spaces) with their share of its time."""
    if language in UNSPACED:
        texts = re.findall(r"\w\W{0,20}", part.cue.text) or [part.cue.text]
    else:
        texts = [f" {word}" for word in part.cue.text.split()]
    times = shared_time(part.cue.start, part.cue.end, texts)
    return [Word(start=start, end=end, text=text) for (start, end), text in zip(times, texts, strict=True)]


def spelled(heard: Sequence[Word], language: str) -> list[Word]:
    """Heard words, or their characters with their share of the time in scripts without spaces."""
    if language not in UNSPACED:
        return list(heard)
    out = []
    for word in heard:
        letters = normalise(word.text, language)
        for (start, end), letter in zip(shared_time(word.start, word.end, letters), letters, strict=True):
            out.append(Word(start=start, end=end, text=letter))
    return out


def aligned(tokens: Sequence[Word], heard: Sequence[Word]) -> list[Word]:
    """Tokens with the times of the same words heard; those between keep their share of the time between."""
    own, other = [[normalise(word.text) for word in words] for words in (tokens, heard)]
    times: dict[int, Word] = {}
    for block in difflib.SequenceMatcher(None, own, other, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            if own[block.a + step]:
                times[block.a + step] = heard[block.b + step]
    if not times:
        return list(tokens)
    known = sorted(times)
    out: list[Word] = []
    for number, token in enumerate(tokens):
        if number in times:
            start, end = times[number].start, times[number].end
        else:
            before = max((at for at in known if at < number), default=None)
            after = min((at for at in known if at > number), default=None)
            start, end = between(tokens, times, before, after, number)
        out.append(token.model_copy(update={"start": start, "end": end}))
    return out


def between(
    tokens: Sequence[Word], times: dict[int, Word], before: int | None, after: int | None, number: int
) -> tuple[float, float]:
    """The time of a word that was not heard, from its neighbours that were: at the edges by its own length."""
    if before is None:
        assert after is not None
        back = sum(word.end - word.start for word in tokens[number:after])
        start = max(0.0, times[after].start - back)
        return start, start + tokens[number].end - tokens[number].start
    if after is None:
        start = times[before].end + sum(word.end - word.start for word in tokens[before + 1 : number])
        return start, start + tokens[number].end - tokens[number].start
    missing = [word.text for word in tokens[before + 1 : after]]
    return shared_time(times[before].end, max(times[after].start, times[before].end), missing)[number - before - 1]
