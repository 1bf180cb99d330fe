"""Texts that are too long for one pass of a model: spoken in parts, joined with a short pause."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from shared.core.errors import EngineError
from shared.engines.protocols import Audio

PAUSE_SECONDS = 0.12
"""Between the parts."""
CLAUSE = re.compile(r"(?<=[.!?…。！？])\s*|(?<=[;:,、，—])\s*")


def pieces(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Split a text at sentence ends and commas into as few parts as fit; at words or in the middle as a last resort."""
    if fits(text):
        return [text]
    parts = [part for part in CLAUSE.split(text) if part.strip()]
    if len(parts) < 2:
        parts = text.split()
    if len(parts) < 2:
        parts = [text[: len(text) // 2], text[len(text) // 2 :]]
    out: list[str] = []
    joiner = "" if re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text) else " "
    for part in parts:
        joined = joiner.join([out[-1], part]) if out else part
        if out and fits(joined):
            out[-1] = joined
        else:
            out += [part] if fits(part) else pieces(part, fits)
    return out


def join(parts: Sequence[Audio], sample_rate: int) -> Audio:
    """The parts of a text one after another.

    Raises:
        EngineError: ``nothing_to_speak`` when there is none.
    """
    if not parts:
        raise EngineError("The text has nothing that can be spoken.", code="nothing_to_speak")
    pause = np.zeros(int(PAUSE_SECONDS * sample_rate), np.float32)
    spaced = [piece for part in parts for piece in (part, pause)]
    return np.concatenate(spaced[:-1]).astype(np.float32, copy=False)
