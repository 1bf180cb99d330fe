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
"""Another version has to be this much more likely (natural logarithm, mean over the sounds). On the noises of
tests/benchmarks/test_hearing.py words are won at 1 to 4 and some lost at 0; stretches of several words lose more."""
MOST_SECONDS = 28.0


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
    for place, other in versions(words, [overlapping(hearing, span) for hearing in hearings]):
        line = [*words[:place], in_time_of(words[place], other), *words[place + 1 :]]
        texts = (joined(words), joined(line))
        have, want = np.mean([weigh(piece, texts, language) for piece in pieces], axis=0)
        if want - have > MARGIN:
            words = line
    return words


def overlapping(hearing: Hearing, span: Span) -> list[Heard]:
    low, high = span.start - PAD_SECONDS, span.end + PAD_SECONDS
    return [heard for heard in hearing.words if heard.word.end > low and heard.word.start < high]


def versions(words: Sequence[Heard], hearings: Sequence[Sequence[Heard]]) -> list[tuple[int, Heard]]:
    """Places of a line's words and what a hearing has there instead, between words that it shares with the line."""
    keys = [key(heard) for heard in words]
    found: dict[tuple[int, str], Heard] = {}
    for others in hearings:
        blocks = SequenceMatcher(None, keys, [key(heard) for heard in others], autojunk=False).get_opcodes()
        for kind, first, last, start, end in blocks[1:-1]:
            if kind == "replace" and last - first == end - start == 1:
                found.setdefault((first, key(others[start])), others[start])
    return [(place, heard) for (place, _), heard in sorted(found.items(), key=lambda one: one[0])]


def in_time_of(old: Heard, new: Heard) -> Heard:
    times = {"start": old.word.start, "end": old.word.end}
    return new._replace(word=new.word.model_copy(update=times))
