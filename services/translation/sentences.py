"""Lines cut into sentences: small translation models forget all but one sentence of a line that has several."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from shared.core.records import Hypothesis
from shared.core.text import UNSPACED

ABBREVIATIONS = frozenset(
    ("mr", "mrs", "ms", "dr", "st", "prof", "sr", "jr", "vs", "etc", "m", "mme", "mlle", "sra", "srta", "dott")
)
_END = re.compile(r"[.!?…。！？]+[\"'”»’)]*\s*")


def sentences(text: str) -> list[str]:
    """The sentences of a line, in order; never cut after “Mr.” or an initial, nor within “Wait...”."""
    parts, start = [], 0
    for match in _END.finditer(text):
        rest = text[match.end() :]
        if not rest:
            break
        if match.group()[-1] not in " \t\n。！？" or rest[0].islower() or abbreviated(text[start : match.start()]):
            continue
        parts.append(text[start : match.end()].strip())
        start = match.end()
    parts.append(text[start:].strip())
    return [sentence for sentence in parts if sentence]


def abbreviated(before: str) -> bool:
    last = re.split(r"[\s'’]", before)[-1]
    return last.casefold() in ABBREVIATIONS or (len(last) == 1 and last.isupper() and last != "I")


def fitting(text: str, fits: Callable[[str], bool]) -> list[str]:
    """``text`` in parts that fit a model, cut in the middle after a comma or a space, else anywhere."""
    if fits(text) or len(text) < 2:
        return [text]
    middle = len(text) // 2
    for pattern in (r"[,;:、，；：]\s*", r"\s+", ""):
        cuts = [match.end() for match in re.finditer(pattern, text) if 0 < match.end() < len(text)]
        near = [cut for cut in cuts if pattern == "" or len(text) // 4 <= cut <= 3 * len(text) // 4]
        if near:
            middle = min(near, key=lambda cut: abs(cut - middle))
            break
    parts = text[:middle].strip(), text[middle:].strip()
    return [piece for part in parts if part for piece in fitting(part, fits)]


def combine(parts: Sequence[Sequence[tuple[str, float, int]]], count: int, target: str = "") -> list[Hypothesis]:
    """The ``count`` best ways to say a line, given the ways to say its sentences.

    A way is its text, its mean log-probability and its number of tokens; the line's scores are means over its tokens.
    """
    space = "" if target in UNSPACED else " "
    best: list[tuple[str, float, int]] = [("", 0.0, 0)]
    for part in parts:
        longer = [
            (f"{before}{space}{text}".strip(), total + score * tokens, length + tokens)
            for before, total, length in best
            for text, score, tokens in part
        ]
        best = sorted(longer, key=lambda item: -item[1] / max(item[2], 1))[:count]
    return [Hypothesis(text=text, score=total / max(length, 1)) for text, total, length in best]
