"""One text divided over several lines: at the ends of sentences and phrases, by the share that each line says."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from shared.core.text import alphanumerics, spoken_characters
from shared.media.subtitles import breakable

SENTENCE_END, PHRASE_END = ".!?…。！？", ",;:、，；：—–"
CLOSING = "\"'”»’)」』）"
PHRASE_COST, WORD_COST, SHORT_WORD_COST = 0.08, 0.2, 0.1
"""Of cutting behind a comma, and behind a word; behind one of up to three letters, as articles are, more."""
SHORT_WORD = 3
UNFINISHED_COST, FINISHED_COST = 0.15, 0.1
"""The line ends its sentence and its part does not; the part does and the line does not."""
MOST_PIECES = 400
"""Of a text that is divided; a longer one is not."""


def divide(text: str, lines: Sequence[str]) -> list[str] | None:
    """A text in as many parts as there are lines, each with a word; None where it has too few words.

    Parts are as long by their share as the lines are (characters that are spoken), and end as these do: the cheapest
    cuts of all are chosen.
    """
    if len(lines) == 1:
        return [text]
    pieces = list(breakable(text))
    if len(pieces) < len(lines) or len(pieces) > MOST_PIECES:
        return None
    words = [alphanumerics(piece) for piece in pieces]
    done = [0, *accumulate(words)]
    sizes = [max(spoken_characters(line), 1) for line in lines]
    shares = [size / sum(sizes) for size in sizes]
    total = max(done[-1], 1)
    # costs[cut]: the cheapest way to have the lines so far end before that piece.
    costs: dict[int, float] = {0: 0.0}
    chosen: list[dict[int, int]] = []
    for number, (line, share) in enumerate(zip(lines, shares, strict=True)):
        last = number == len(lines) - 1
        ends = [len(pieces)] if last else range(1, len(pieces))
        reached: dict[int, float] = {}
        begun: dict[int, int] = {}
        for end in ends:
            edge = 0.0 if last else edge_cost(pieces[end - 1], line)
            for start, cost in costs.items():
                if start < end and done[end] > done[start]:
                    whole = cost + edge + abs((done[end] - done[start]) / total - share)
                    if whole < reached.get(end, float("inf")):
                        reached[end], begun[end] = whole, start
        costs = reached
        chosen.append(begun)
    if not costs:
        return None
    cuts = [len(pieces)]
    for begun in reversed(chosen):
        cuts.append(begun[cuts[-1]])
    cuts.reverse()
    return ["".join(pieces[start:end]).strip() for start, end in pairwise(cuts)]


def edge_cost(piece: str, line: str) -> float:
    """Cost of ending a line's part behind a piece."""
    end = piece.strip().rstrip(CLOSING)
    finished = end[-1:] in SENTENCE_END
    cost = 0.0
    if not finished:
        word = end.rstrip(PHRASE_END)
        cost = PHRASE_COST if word != end else WORD_COST + SHORT_WORD_COST * (0 < len(word) <= SHORT_WORD)
    ended = line.strip().rstrip(CLOSING)[-1:] in SENTENCE_END
    if ended != finished:
        cost += UNFINISHED_COST if ended else FINISHED_COST
    return cost
