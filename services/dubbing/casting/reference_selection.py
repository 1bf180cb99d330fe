"""The stretch of a speaker's own speech that a cloning engine is shown: clean, long enough, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from services.dubbing.casting.cast import cosine
from services.dubbing.post_processing import trim
from shared.audio.loudness import frame_powers
from shared.audio.signal import SPEECH_RATE, decibels, resample, rms
from shared.core.records import SAMPLE_RATE, Utterance
from shared.media.listening import join, samples_of, segment

WANTED_SECONDS = 12.0
"""Engines gain little beyond it."""
ENOUGH_SECONDS = 3.0
"""Below it, lines that were left out are taken too."""
MIN_LINE_SECONDS = 1.0
CONSIDERED = 64
"""Lines of a speaker that are judged, the longest: a leading part has thousands."""
HEARD_AT_MOST = 8
"""Lines of a speaker that are compared with the speaker's mean voice."""
SAME_SPEAKER = 0.6
"""Cosine of a line to its speaker's mean; below it the line is likely somebody else's."""
MIN_OWN_SECONDS = 2.0
"""A shorter line alone says too little about a voice."""
CLIPPED_SHARE = 1e-3
PAUSE_SECONDS = 0.2
"""Between lines, so that engines do not hear words that run into one another."""
FADE_MS = 10
"""Of every line's edges: cut out of a breath or of what is left of music, a step there would be heard as a click."""
LEVEL = 0.08
"""RMS of every line in a reference: engines take loudness for part of the voice."""

Embed = Callable[[np.ndarray], np.ndarray]


class Judged(NamedTuple):
    """A line as it may serve."""

    line: Utterance
    audio: np.ndarray
    """Trimmed, mono 16 kHz."""
    usable: bool
    score: float


def pick(
    lines: Sequence[Utterance],
    cut: Callable[[Utterance], np.ndarray],
    voice: Sequence[float] = (),
    embed: Embed | None = None,
) -> np.ndarray:
    """Up to 12 s of a speaker, mono 16 kHz, best lines first; empty when nothing can be heard.

    Args:
        lines: The speaker's own lines, of the whole title.
        cut: Their sound in the vocals, mono 16 kHz.
        voice: The speaker's embedding; of the kind that ``embed`` makes.
        embed: L2-normalised embedding of mono 16 kHz speech. Without it the speaker labels are believed.
    """
    spoken = [line for line in lines if line.status == "ok"]
    spoken.sort(key=lambda line: (line.overlapped, line.start - line.end))
    judged = []
    for number, line in enumerate(spoken[:CONSIDERED]):
        audio = trim(cut(line), SPEECH_RATE)
        near = None
        if embed is not None and len(voice) and number < HEARD_AT_MOST and audio.size >= SPEECH_RATE // 2:
            near = cosine(embed(audio), voice)
        judged.append(judge(line, audio, near))
    best = sorted(judged, key=lambda one: -one.score)
    chosen = gather([one for one in best if one.usable])
    if seconds(chosen) < ENOUGH_SECONDS:
        # Anything but a line that others talk into, while there is a choice.
        rest = [one for one in best if not one.usable and not one.line.overlapped]
        chosen = gather([*chosen, *rest]) or gather(best)
    return joined(chosen)


def of_line(audio: np.ndarray) -> np.ndarray:
    """One line as a reference of its own, mono 48 kHz in, mono 16 kHz out; empty when it is too short to clone."""
    heard = trim(resample(audio, SAMPLE_RATE, SPEECH_RATE), SPEECH_RATE)
    level = rms(heard)
    if heard.size < MIN_OWN_SECONDS * SPEECH_RATE or level <= 0:
        return np.zeros(0, np.float32)
    return np.asarray(np.clip(heard * (LEVEL / level), -1, 1), np.float32)


def judge(line: Utterance, audio: np.ndarray, near: float | None) -> Judged:
    """How well a line serves as a reference.

    Args:
        near: Cosine to the speaker's mean voice, if known.
    """
    length = audio.size / SPEECH_RATE
    clipped = float(np.mean(np.abs(audio) > 0.99)) if audio.size else 0.0
    usable = (
        not line.overlapped
        and length >= MIN_LINE_SECONDS
        and clipped <= CLIPPED_SHARE
        and (near is None or near >= SAME_SPEAKER)
    )
    sure = 1.0 if line.mean_logprob is None else float(np.exp(np.clip(line.mean_logprob, -3.0, 0.0)))
    score = (
        (0.0 if near is None else near) + 0.02 * min(contrast(audio), 40.0) + 0.1 * min(length, 6.0) / 6.0 + 0.2 * sure
    )
    return Judged(line, audio, usable, score - 50 * clipped)


def contrast(audio: np.ndarray) -> float:
    """Decibels between loud and quiet moments: what is left of noise and music fills the pauses."""
    powers = frame_powers(np.atleast_2d(audio), SPEECH_RATE)
    if not powers.size or powers.max() <= 1e-10:
        return 0.0
    loud, quiet = np.percentile(powers, [90, 10])
    return float(10 * np.log10(loud / max(quiet, 1e-10)))


def gather(lines: Sequence[Judged]) -> list[Judged]:
    """The first lines that together reach what is wanted."""
    out: list[Judged] = []
    for one in lines:
        if seconds(out) >= WANTED_SECONDS:
            break
        if one.audio.size:
            out.append(one)
    return out


def seconds(lines: Sequence[Judged]) -> float:
    return sum(one.audio.size for one in lines) / SPEECH_RATE


def joined(lines: Sequence[Judged]) -> np.ndarray:
    """The lines at one level, in order of time, with soft edges, at most 12 s."""
    sounds = []
    for one in sorted(lines, key=lambda item: item.line.start):
        peak = float(np.abs(one.audio).max(initial=0.0))
        sounds.append(segment(one.audio / np.float32(max(peak, 1.0)), SPEECH_RATE))
    whole = join(sounds, gap_ms=round(1000 * PAUSE_SECONDS), fade_ms=FADE_MS, level_dbfs=decibels(LEVEL))
    return samples_of(whole)[0, : int(WANTED_SECONDS * SPEECH_RATE)] if len(whole) else np.zeros(0, np.float32)
