"""From words to utterances: times corrected against the voice, split where people pause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shared.audio.signal import SPEECH_RATE
from shared.core.records import Span, Word
from shared.core.text import alphanumerics

SENTENCE_END = (".", "!", "?", "…", "。", "！", "？", "．")
SENTENCE_PAUSE_SECONDS = 0.2
"""A pause that ends an utterance when a sentence ends there too."""
REACH_SECONDS = 0.5
"""A word without voice under it is moved to speech no further away."""
MIN_WORD_SECONDS = 0.02
SCRAP_SECONDS = 1.5
"""A lone letter belongs to words that begin no later than this."""
MAX_CHARS_PER_SECOND = 28.0
"""Nobody speaks faster; text that seems to was given wrong times."""
HOP_SECONDS = 0.01


class Heard(NamedTuple):
    """A word with the recogniser's belief in the segment it came from."""

    word: Word
    mean_logprob: float
    no_speech: float


def ends_sentence(text: str) -> bool:
    return text.rstrip("\"'”’»」』) ").endswith(SENTENCE_END)


def settle(words: Sequence[Heard], speech: Sequence[Span]) -> list[Heard]:
    """Word times moved onto the speech they belong to; order kept, never overlapping.

    Whisper lets the first word after a pause begin in the pause, and the last one before it end there. A word is cut
    to the speech it overlaps most; one that meets none goes to speech within :data:`REACH_SECONDS`, if there is any.
    """
    settled: list[Heard] = []
    floor = 0.0
    for heard in words:
        word = heard.word
        start, end = word.start, max(word.end, word.start + MIN_WORD_SECONDS)
        home = max(speech, key=lambda span: min(span.end, end) - max(span.start, start), default=None)
        if home is not None:
            overlap = min(home.end, end) - max(home.start, start)
            if overlap > 0:
                start, end = max(start, home.start), min(end, home.end)
            elif -overlap <= REACH_SECONDS:
                length = min(end - start, home.end - home.start)
                start = home.start if home.start >= end else home.end - length
                end = start + length
        start = max(start, floor)
        end = max(end, start + MIN_WORD_SECONDS)
        floor = end
        settled.append(heard._replace(word=word.model_copy(update={"start": start, "end": end})))
    return settled


def split(words: Sequence[Heard], gap: float, longest: float) -> list[list[Heard]]:
    """Utterances: broken at pauses over ``gap`` seconds, at shorter ones behind a sentence, when over ``longest``."""
    groups: list[list[Heard]] = []
    for heard in words:
        last = groups[-1][-1].word if groups else None
        pause = heard.word.start - last.end if last else np.inf
        if last is None or pause > gap or (pause >= SENTENCE_PAUSE_SECONDS and ends_sentence(last.text)):
            groups.append([heard])
        else:
            groups[-1].append(heard)
    return [part for group in groups for part in shorten(group, longest)]


def reunite(groups: Sequence[list[Heard]], least: int) -> list[list[Heard]]:
    """Groups of fewer than ``least`` letters go to the next one if that is near.

    An “I” whose time was misjudged is no line of its own. Its words then stand directly before that group.
    """
    out: list[list[Heard]] = []
    for group in groups:
        scrap = out[-1] if out else []
        letters = alphanumerics(joined(scrap))
        if (
            0 < letters < least
            and not ends_sentence(scrap[-1].word.text)
            and group[0].word.start - scrap[-1].word.end <= SCRAP_SECONDS
        ):
            late = group[0].word.start - scrap[-1].word.end
            near = [
                heard._replace(
                    word=heard.word.model_copy(update={"start": heard.word.start + late, "end": heard.word.end + late})
                )
                for heard in scrap
            ]
            out[-1] = [*near, *group]
        else:
            out.append(group)
    return out


def shorten(words: list[Heard], longest: float) -> list[list[Heard]]:
    """Halve what is longer than ``longest`` seconds at its best break: a sentence, a comma, a pause, the middle."""
    if len(words) < 2 or words[-1].word.end - words[0].word.start <= longest:
        return [words]
    middle = (words[0].word.start + words[-1].word.end) / 2
    half = (words[-1].word.end - words[0].word.start) / 2

    def merit(i: int) -> float:
        before, after = words[i - 1].word, words[i].word
        comma = before.text.rstrip().endswith((",", ";", ":", "、"))
        mark = 1.0 if ends_sentence(before.text) else 0.5 if comma else 0.0
        return mark + 2 * (after.start - before.end) - abs((before.end + after.start) / 2 - middle) / half

    at = max(range(1, len(words)), key=merit)
    return shorten(words[:at], longest) + shorten(words[at:], longest)


def joined(words: Sequence[Heard]) -> str:
    """The recogniser's own spacing: words bring their leading space with them."""
    return " ".join("".join(heard.word.text for heard in words).split())


def levels(audio: np.ndarray) -> np.ndarray:
    """Level in dB of every 10 ms of mono 16 kHz audio, smoothed over three of them."""
    size = round(HOP_SECONDS * SPEECH_RATE)
    count = len(audio) // size
    power = np.square(audio[: count * size].reshape(count, size), dtype=np.float64).mean(axis=1)
    if count >= 3:
        power = np.convolve(power, np.ones(3) / 3, mode="same")
    db: np.ndarray = 10 * np.log10(power + 1e-12)
    return db


def hug(span: Span, audio_levels: np.ndarray, low: float, high: float, depth: float = 30.0) -> Span:
    """Edges of ``span`` moved to where its sound begins and ends.

    The edge goes outwards while there is sound, at most to ``low`` and ``high``, and inwards over what is silent.
    Sound is what is within ``depth`` dB of the loud tenth of the span.

    Args:
        audio_levels: :func:`levels` of the separated voice, on the clock of ``span``.
        low, high: Where the neighbours (or the reach) end, seconds.
    """
    first, last = round(span.start / HOP_SECONDS), round(span.end / HOP_SECONDS)
    inside = audio_levels[first:last]
    if not inside.size:
        return span
    loud = float(np.quantile(inside, 0.9))
    heard = audio_levels > max(loud - depth, -65.0)
    if not heard[first:last].any():
        return span
    lowest = max(0, round(low / HOP_SECONDS))
    highest = min(len(audio_levels), round(high / HOP_SECONDS))
    start = first + int(np.argmax(heard[first:last]))
    end = last - int(np.argmax(heard[first:last][::-1]))
    if start == first:
        quiet = np.flatnonzero(~heard[lowest:first])
        start = lowest + int(quiet[-1]) + 1 if quiet.size else min(lowest, first)
    if end == last:
        quiet = np.flatnonzero(~heard[last:highest])
        end = last + int(quiet[0]) if quiet.size else max(highest, last)
    return Span(start=start * HOP_SECONDS, end=end * HOP_SECONDS)


def breathing_room(span: Span, text_length: int, low: float, high: float) -> Span:
    """A span long enough for its text, if there is room between ``low`` and ``high``: at most 28 characters/s."""
    missing = text_length / MAX_CHARS_PER_SECOND - (span.end - span.start)
    if missing <= 0:
        return span
    end = min(max(high, span.end), span.end + missing)
    start = max(min(low, span.start), span.start - (missing - (end - span.end)))
    return Span(start=start, end=end)
