"""Where hearings disagree about a word, the recogniser is asked how likely each version is as what is said there.

A vote counts who heard what, each hearing with other surroundings. Here every version is put into the same line and the
line is weighed as a whole: against the mix and against the separated voice, and by the recogniser's own language model,
which knows what people say.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from services.transcription.recognition.utterances import Heard, joined
from services.transcription.recognition.voting import Hearing, key
from services.transcription.recognition.windows import PAD_SECONDS, cut
from shared.core.records import Span
from shared.engines.protocols import Recognizer

MARGIN = 2.0
"""Another version has to be this much more likely (natural logarithm, mean over the sounds)."""
MOST_WORDS = 3
"""Longer stretches that differ are another sentence: the vote knows better."""
MOST_SECONDS = 28.0

Version = tuple[int, int, tuple[Heard, ...]]
"""Words ``[first, last)`` of a line, and what stands for them in another hearing."""


def reconsider(
    group: Sequence[Heard],
    hearings: Sequence[Hearing],
    sounds: Sequence[np.ndarray],
    language: str,
    recognizer: Recognizer,
) -> list[Heard]:
    """The line with every word replaced for which another hearing has one that is clearly more likely.

    Args:
        group: Words of a line, in order.
        sounds: Mono, 16 kHz, on the clock of the words.
        recognizer: With ``likelihoods``; the line of one without stays as it is.
    """
    words = list(group)
    weigh = getattr(recognizer, "likelihoods", None)
    span = Span(start=words[0].word.start, end=max(words[-1].word.end, words[0].word.start))
    if weigh is None or span.end - span.start > MOST_SECONDS:
        return words
    pieces = [cut(sound, span, PAD_SECONDS) for sound in sounds]
    options = versions(words, [overlapping(hearing, span) for hearing in hearings])
    settled = len(words)
    for first, last, others in sorted(options, key=lambda one: -one[0]):
        if last > settled:
            continue
        line = [*words[:first], *fitted(words[first:last], others), *words[last:]]
        texts = (joined(words), joined(line))
        have, want = np.mean([weigh(piece, texts, language) for piece in pieces], axis=0)
        if want - have > MARGIN:
            words, settled = line, first
    return words


def overlapping(hearing: Hearing, span: Span) -> list[Heard]:
    low, high = span.start - PAD_SECONDS, span.end + PAD_SECONDS
    return [heard for heard in hearing.words if heard.word.end > low and heard.word.start < high]


def versions(words: Sequence[Heard], hearings: Sequence[Sequence[Heard]]) -> list[Version]:
    """What the hearings have in place of words of a line, between words that they share with it."""
    keys = [key(heard) for heard in words]
    found: dict[tuple[int, int, tuple[str, ...]], Version] = {}
    for others in hearings:
        other_keys = [key(heard) for heard in others]
        blocks = SequenceMatcher(None, keys, other_keys, autojunk=False).get_opcodes()
        for number, (kind, first, last, start, end) in enumerate(blocks):
            if kind == "replace" and 0 < number < len(blocks) - 1 and max(last - first, end - start) <= MOST_WORDS:
                found.setdefault((first, last, tuple(other_keys[start:end])), (first, last, tuple(others[start:end])))
    return list(found.values())


def fitted(old: Sequence[Heard], new: Sequence[Heard]) -> list[Heard]:
    """The new words in the time of the old ones, each as long as its share of the letters."""
    start, end = old[0].word.start, old[-1].word.end
    sizes = np.cumsum([0, *(len(heard.word.text) for heard in new)])
    edges = start + (end - start) * sizes / sizes[-1]
    return [
        heard._replace(word=heard.word.model_copy(update={"start": float(low), "end": float(high)}))
        for heard, low, high in zip(new, edges[:-1], edges[1:], strict=True)
    ]
