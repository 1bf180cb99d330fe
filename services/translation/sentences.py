"""Lines cut into sentences: small translation models forget all but one sentence of a line that has several."""

from __future__ import annotations

import re

ABBREVIATIONS = frozenset(
    ("mr", "mrs", "ms", "dr", "st", "prof", "sr", "jr", "vs", "etc", "m", "mme", "mlle", "sra", "srta", "dott")
)
_END = re.compile(r"[.!?…。！？]+[\"'”»’)]*\s*")


def sentences(text: str) -> list[str]:
    """The sentences of a line, in order; never cut after “Mr.” or an initial, nor within “Wait...”."""
    found, start = [], 0
    for match in _END.finditer(text):
        rest = text[match.end() :]
        if not rest:
            break
        if match.group()[-1] not in " \t\n。！？" or rest[0].islower() or abbreviated(text[start : match.start()]):
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def abbreviated(before: str) -> bool:
    last = re.split(r"[\s'’]", before)[-1]
    return last.casefold() in ABBREVIATIONS or (len(last) == 1 and last.isupper() and last != "I")
