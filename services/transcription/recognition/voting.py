"""Several hearings of the same sound made into one: words are aligned, and each place goes to what most is said for.

This is ROVER (Fiscus 1997) with confidences. What a hearing leaves out speaks against the word, as far as it listened
there at all. So a word that one hearing alone claims has to be surer than one that several claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from services.transcription.recognition.utterances import Heard
from services.transcription.recognition.windows import covered
from shared.core.records import Span
from shared.core.text import normalise

NOTHING = 0.5
"""What a hearing's silence weighs against a word, on the scale of confidences. Of a hearing that counts for more it
counts for more by the root alone: who is right about words may still have missed some."""
REACH_SECONDS = 2.0
"""Words farther apart are never the same."""
FARTHER = 0.2
"""Cost of a second between two words that may be the same, beside 1 for a word left out and 1.5 for another word."""
REGION_SECONDS = 1.0
"""Alignment begins anew behind a pause in which no hearing has a word."""


@dataclass(frozen=True)
class Hearing:
    """The words of one way of listening, in order of time."""

    words: Sequence[Heard]
    weight: float = 1.0
    listened: Sequence[Span] | None = None
    """Where it listened, disjoint; None is everywhere. Elsewhere its silence says nothing."""
    loops: Sequence[Heard] = ()
    """Words that were left out because they only repeat what stands before them."""


@dataclass
class Place:
    """One place of the text: the candidates with what speaks for them, and what speaks for nothing."""

    start: float
    end: float
    votes: dict[str, float] = field(default_factory=dict)
    words: dict[str, Heard] = field(default_factory=dict)
    timed: dict[str, Heard] = field(default_factory=dict)
    nothing: float = 0.0


def confidence(heard: Heard) -> float:
    """Of a word: its own probability and the likelihood of its sentence, geometric mean."""
    sentence = min(1.0, float(np.exp(heard.mean_logprob)))
    own = heard.word.probability
    return float(np.sqrt(sentence * (own if own > 0 else sentence)))


def is_timed(heard: Heard) -> bool:
    """Whether the word's own times are known; a hearing without them gives those of the sentence and probability 0."""
    return heard.word.probability > 0


def key(heard: Heard) -> str:
    return normalise(heard.word.text)


def vote(hearings: Sequence[Hearing]) -> list[Heard]:
    """The words that win, in order; texts as the first hearing that has them writes them."""
    spans = sorted((heard.word.start, heard.word.end) for hearing in hearings for heard in hearing.words)
    edges: list[float] = []
    reached = -np.inf
    for start, end in spans:
        if start > reached + REGION_SECONDS:
            edges.append(start)
        reached = max(reached, end)
    winning_words: list[Heard] = []
    parts = [by_region(hearing.words, edges) for hearing in hearings]
    for region in range(len(edges)):
        winning_words += winners(hearings, [part.get(region, []) for part in parts])
    return spread_untimed(winning_words)


def spread_untimed(words: Sequence[Heard]) -> list[Heard]:
    """Words that no hearing has times for: one after another in the room between their neighbours."""
    out: list[Heard] = []
    for timed, some in groupby(enumerate(words), key=lambda item: is_timed(item[1])):
        run = list(some)
        if timed:
            out += [heard for _, heard in run]
            continue
        behind = run[-1][0] + 1
        low = max(run[0][1].word.start, out[-1].word.end if out else 0.0)
        high = max(low, run[-1][1].word.end)
        if behind < len(words):
            high = max(low, min(high, words[behind].word.start))
        sizes = np.cumsum([0.0, *(len(heard.word.text) for _, heard in run)])
        edges = low + (high - low) * sizes / sizes[-1]
        for (_, heard), start, end in zip(run, edges[:-1], edges[1:], strict=True):
            out.append(heard._replace(word=heard.word.model_copy(update={"start": float(start), "end": float(end)})))
    return out


def by_region(words: Sequence[Heard], edges: Sequence[float]) -> dict[int, list[Heard]]:
    def region(heard: Heard) -> int:
        return int(np.searchsorted(edges, heard.word.start + 1e-9, side="right")) - 1

    ordered = sorted((heard for heard in words if key(heard)), key=lambda heard: heard.word.start)
    return {number: list(some) for number, some in groupby(ordered, key=region)}


def winners(hearings: Sequence[Hearing], words: Sequence[Sequence[Heard]]) -> list[Heard]:
    """The vote over one region."""
    places: list[Place] = []
    for number, hearing in enumerate(hearings):
        merged = []
        for known, heard in align(places, words[number]):
            if heard is None:
                assert known is not None
                known.nothing += silence(hearing, known)
                merged.append(known)
                continue
            place = known or Place(heard.word.start, heard.word.end)
            if known is None:
                place.nothing = sum(silence(before, place) for before in hearings[:number])
            name = key(heard)
            place.votes[name] = place.votes.get(name, 0.0) + hearing.weight * confidence(heard)
            place.words.setdefault(name, heard)
            if is_timed(heard):
                place.timed.setdefault(name, heard)
            merged.append(place)
        places = merged
    return [settled(place) for place in places if max(place.votes.values()) > place.nothing]


def silence(hearing: Hearing, place: Place) -> float:
    """What a hearing without a word at this place says against one."""
    if hearing.listened is not None:
        middle = (place.start + place.end) / 2
        if not covered(hearing.listened, middle - 0.05, middle + 0.05):
            return 0.0
    return float(NOTHING * hearing.weight**0.5)


def settled(place: Place) -> Heard:
    name = max(place.votes, key=lambda word: place.votes[word])
    word, timed = place.words[name], place.timed.get(name)
    if timed is None:
        return word
    times = {"start": timed.word.start, "end": timed.word.end, "probability": timed.word.probability}
    return timed._replace(word=word.word.model_copy(update=times))


def align(places: Sequence[Place], words: Sequence[Heard]) -> list[tuple[Place | None, Heard | None]]:
    """The cheapest way to lay a hearing's words onto the places, in order (edit distance with times)."""
    rows, columns = len(places), len(words)
    cost = np.zeros((rows + 1, columns + 1))
    step = np.zeros((rows + 1, columns + 1), dtype=np.int8)
    cost[:, 0], cost[0, :] = np.arange(rows + 1), np.arange(columns + 1)
    step[1:, 0], step[0, 1:] = 1, 2
    names = [key(heard) for heard in words]
    for i in range(1, rows + 1):
        place = places[i - 1]
        for j in range(1, columns + 1):
            word = words[j - 1].word
            apart = max(0.0, max(place.start, word.start) - min(place.end, word.end))
            other = 0.0 if names[j - 1] in place.votes else 1.5
            same = cost[i - 1, j - 1] + (np.inf if apart > REACH_SECONDS else other + FARTHER * apart)
            choices = (same, cost[i - 1, j] + 1, cost[i, j - 1] + 1)
            step[i, j] = best = min(range(3), key=choices.__getitem__)
            cost[i, j] = choices[best]
    out: list[tuple[Place | None, Heard | None]] = []
    i, j = rows, columns
    while i or j:
        if step[i, j] == 0:
            i, j = i - 1, j - 1
            out.append((places[i], words[j]))
        elif step[i, j] == 1:
            i -= 1
            out.append((places[i], None))
        else:
            j -= 1
            out.append((None, words[j]))
    return out[::-1]
