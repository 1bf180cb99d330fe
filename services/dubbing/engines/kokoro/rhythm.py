"""How long each phoneme of a line lasts, phrase by phrase, and where the phrases are in its sound."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from services.dubbing.engines.kokoro.graph import FRAME_SAMPLES
from shared.core.errors import EngineError
from shared.engines.protocols import Audio

FRAME_SECONDS = FRAME_SAMPLES / 24_000
BREAK_FRAMES = 8
"""Between phrases at least: 0.2 s, enough for the end of the one and the beginning of the other."""


QUIET = 1.0
"""Planned energy below which a sound is 40 dB under the loudest and trimmed."""
EDGES_SECONDS = 0.04
"""What trimming leaves of the silence at both ends together, measured."""


class Score(NamedTuple):
    """A line's phonemes as the model takes them."""

    tokens: list[int]
    """With the model's mark at both ends."""
    spans: list[tuple[int, int]]
    """First and last (exclusive) sounding token of each phrase."""


class PlannedSpeech(NamedTuple):
    """What the model means to do."""

    durations: np.ndarray
    """Frames of each token at speed 1, not rounded."""
    pitch: np.ndarray
    """Hz a half frame; below 40 where nothing is voiced."""
    energy: np.ndarray
    """Level a half frame; see :data:`services.dubbing.engines.kokoro.graph.ENERGY`."""


def score_of(phrases: Sequence[Sequence[int]], space: int, silent: Collection[int]) -> Score:
    """Phrases one after another.

    Args:
        space: The token between words.
        silent: Tokens without sound: marks and spaces.

    Raises:
        EngineError: ``nothing_to_speak`` when a phrase has no sound.
    """
    tokens = [0]
    spans: list[tuple[int, int]] = []
    for phrase in phrases:
        sounding = [place for place, token in enumerate(phrase) if token not in silent]
        if not sounding:
            raise EngineError("The text has nothing that can be spoken.", code="nothing_to_speak")
        if spans:
            tokens.append(space)
        spans.append((len(tokens) + sounding[0], len(tokens) + sounding[-1] + 1))
        tokens += phrase
    return Score([*tokens, 0], spans)


def whole_frames(durations: np.ndarray) -> np.ndarray:
    """As the model rounds them at speed 1."""
    return np.maximum(np.round(durations), 1)


def sounding_seconds(plan: PlannedSpeech, score: Score) -> list[float]:
    """How long each phrase is heard at speed 1, without the silence at its ends.

    The last phoneme of a sentence is given many frames, in Japanese half a second, of which most are silent: the
    planned energy tells where the sound ends.
    """
    parts = sounding_parts(plan.energy, whole_frames(plan.durations), score)
    return [(part.stop - part.start) * FRAME_SECONDS / 2 + EDGES_SECONDS for part in parts]


def sounding_parts(energy: np.ndarray, frames: np.ndarray, score: Score) -> list[slice]:
    """Where each phrase is heard, in half frames."""
    edges = [0, *(2 * cut for cut in cuts(frames, score)), len(energy)]
    out = []
    for begin, end in pairwise(edges):
        loud = begin + np.flatnonzero(energy[begin:end] > QUIET)
        out.append(slice(int(loud[0]), int(loud[-1]) + 1) if loud.size else slice(begin, end))
    return out


def allot_frames(natural: np.ndarray, score: Score, speeds: Sequence[float]) -> np.ndarray:
    """Whole frames of every phoneme, so that each phrase lasts as long as its speed asks, to the frame.

    Rounding each phoneme by itself, as the model does, makes most of a small change of speed disappear: phonemes last
    two frames.

    Args:
        natural: Frames at speed 1, not rounded.
        speeds: Of each phrase.
    """
    frames = whole_frames(natural)
    for number, ((first, last), speed) in enumerate(zip(score.spans, speeds, strict=True)):
        begin = 0 if number == 0 else score.spans[number - 1][1]
        end = len(frames) if number == len(speeds) - 1 else last
        if speed != 1:
            total = max(round(float(frames[first:last].sum()) / speed), last - first)
            frames[first:last] = share_out(natural[first:last] / speed, total)
            for around in (slice(begin, first), slice(last, end)):
                frames[around] = np.maximum(np.round(natural[around] / speed), 1)
        if number:
            frames[begin] += max(0, BREAK_FRAMES - frames[begin:first].sum())
    return frames


def share_out(wanted: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers of at least 1 in the proportions of ``wanted`` that sum to ``total``: largest remainders first."""
    exact = np.maximum(wanted * (total / wanted.sum()), 1.0)
    # What is raised to 1 is taken from the others.
    for _ in range(len(exact)):
        above = exact > 1.0
        excess = exact.sum() - total
        if excess <= 1e-9 or not above.any():
            break
        exact[above] = np.maximum(exact[above] - excess * (exact[above] - 1) / (exact[above] - 1).sum(), 1.0)
    whole = np.floor(exact + 1e-9)
    rest = total - int(whole.sum())
    whole[np.argsort(-(exact - whole), kind="stable")[: max(rest, 0)]] += 1
    return np.asarray(whole)


def cut_phrases(audio: Audio, frames: np.ndarray, score: Score) -> list[Audio]:
    """The sound of each phrase: cuts fall in the middle of the silence between."""
    return np.split(audio, [cut * FRAME_SAMPLES for cut in cuts(frames, score)])


def cuts(frames: np.ndarray, score: Score) -> list[int]:
    """The frames in the middle of the silences between phrases."""
    ends = np.cumsum(frames).astype(int)
    return [
        int(ends[last - 1] + ends[first - 1]) // 2
        for (_, last), (first, _) in zip(score.spans[:-1], score.spans[1:], strict=True)
    ]
