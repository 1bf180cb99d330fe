"""The ways in which a chunk is listened to: the whole mix, the whole separated voice, and window by window.

The library's own call on the whole mix hears most on real film, for it hears what stands before and after, and no
detector decides for it. The separated voice is surer under loud music, and windows around detected speech have the
better times and hear what is short. :mod:`services.transcription.recognition.voting` makes one text of the three.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from services.transcription.recognition.gates import DOUBTFUL_LOGPROB
from services.transcription.recognition.utterances import Heard
from services.transcription.recognition.voting import Hearing
from services.transcription.recognition.windows import cut, windows
from shared.audio.signal import SPEECH_RATE, rms
from shared.core.records import Span
from shared.core.text import normalise
from shared.engines.protocols import Recognizer, Segment

SILENT_RMS = 1e-4
WHOLE_WEIGHT, OTHER_WEIGHT = 3.0, 1.0
"""The plain call is right more often: the two others must agree against it, and be surer."""
LONG_PHRASE, LONGEST_PHRASE = 3, 16
"""Words of a phrase that is a loop even with others between, and of the longest one that is looked for."""
SHORT_TIMES, LONG_TIMES, LOOP_SECONDS = 5, 4, 20.0
"""How often, and how soon again, a phrase comes in a loop."""


def whole(
    audio: np.ndarray,
    language: str,
    recognizer: Recognizer,
    progress: Callable[[float], None],
    *,
    timed: bool,
    weight: float = OTHER_WEIGHT,
) -> Hearing:
    """All of mono 16 kHz ``audio`` heard in one call of the recogniser's own, or window by window where it has none.

    Args:
        progress: Told the finished share of the sound.
        timed: Ask for the times of words; the library's defaults do without, and its text differs a little.
    """
    if rms(audio) < SILENT_RMS:
        return Hearing([], weight, listened=[])
    listen = getattr(recognizer, "whole", None)
    if listen:
        segments = listen(audio, language, timed=timed, progress=progress)
        words = [heard for segment in segments for heard in heard_words(segment)]
    else:
        words = by_pieces(audio, language, recognizer, progress)
    kept, loops = unlooped(words, language)
    return Hearing(kept, weight, loops=loops)


def by_pieces(
    audio: np.ndarray, language: str, recognizer: Recognizer, progress: Callable[[float], None]
) -> list[Heard]:
    """Words of sound of any length, heard in pieces cut at quiet moments; between two the work may be stopped."""
    pieces = windows([Span(start=0.0, end=len(audio) / SPEECH_RATE)], audio)
    words: list[Heard] = []
    for number, piece in enumerate(pieces):
        progress(number / len(pieces))
        for segment in recognizer.transcribe(cut(audio, piece), language):
            words += heard_words(segment, piece)
    return words


def heard_words(segment: Segment, window: Span | None = None) -> list[Heard]:
    """A segment's words with its figures; moved into ``window``, where they come from one."""
    if window is None:
        return [Heard(word, segment.mean_logprob, segment.no_speech) for word in segment.words]
    out = []
    for word in segment.words:
        start, end = (min(time + window.start, window.end) for time in (word.start, word.end))
        inside = word.model_copy(update={"start": start, "end": end})
        out.append(Heard(inside, segment.mean_logprob, segment.no_speech))
    return out


def unlooped(words: Sequence[Heard], language: str) -> tuple[list[Heard], list[Heard]]:
    """Words without loops, and the loops.

    Of a phrase that comes again and again in a short time only the first stays, and that only where the recogniser was
    sure of it.
    Short phrases count when they follow one another (“hate, hate, hate, …”), longer ones with others between too.
    """
    keys = [normalise(heard.word.text, language) for heard in words]
    drop = np.zeros(len(words), dtype=bool)
    for size in range(1, LONGEST_PHRASE + 1):
        places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for at in range(len(words) - size + 1):
            before = places[tuple(keys[at : at + size])]
            if not before or at >= before[-1] + size:
                before.append(at)
        for starts in places.values():
            for run in runs(starts, words, size):
                sure = words[run[0]].mean_logprob >= DOUBTFUL_LOGPROB
                for at in run[1:] if sure else run:
                    drop[at : at + size] = True
    marked = list(zip(words, drop, strict=True))
    return [heard for heard, out in marked if not out], [heard for heard, out in marked if out]


def runs(places: Sequence[int], words: Sequence[Heard], size: int) -> list[list[int]]:
    """Places of a phrase of ``size`` words that are so many and so near one another that they are a loop."""
    short = size < LONG_PHRASE
    times = SHORT_TIMES if short else LONG_TIMES
    groups: list[list[int]] = []
    for at in places:
        last = groups[-1][-1] if groups else None
        if last is not None and (
            at == last + size if short else words[at].word.start - words[last].word.start < LOOP_SECONDS
        ):
            groups[-1].append(at)
        else:
            groups.append([at])
    return [run for run in groups if len(run) >= times]


def windowed(by_window: Sequence[tuple[Span, Sequence[Segment]]], language: str) -> Hearing:
    """What was heard window by window; between the windows nobody listened."""
    words = [heard for window, segments in by_window for segment in segments for heard in heard_words(segment, window)]
    kept, loops = unlooped(words, language)
    return Hearing(kept, OTHER_WEIGHT, [window for window, _ in by_window], loops)
