"""What every translator has to keep, whatever is behind it."""

from __future__ import annotations

import math

from shared.engines import Line
from shared.records import Hypothesis

LINES = [Line("Good evening, Tom. Please come in."), Line("Go!"), Line("I know this letter, my father wrote it.")]


def check(engine, source: str, target: str, long: int = 120, again=None) -> None:
    """Shapes, scores, order, repeatability, empty and very long lines.

    Args:
        again: Who repeats the first answer, where an engine's answers depend on what it was asked before.
    """
    pairs = engine.languages()
    assert pairs is None or (source, target) in pairs
    found = engine.translate(LINES, source, target, 2)
    well_formed(found, len(LINES), 2)
    assert (again or engine).translate(LINES, source, target, 2) == found
    assert engine.translate([], source, target, 2) == []
    well_formed(engine.translate([Line("", max_chars=10)], source, target, 2), 1, 2)
    well_formed(engine.translate(LINES[:1], source, target, 3, seed=7), 1, 3 + 1)
    if long:
        well_formed(engine.translate([Line("and so on, " * long)], source, target, 1), 1, 1)


def well_formed(found, lines: int, count: int) -> None:
    assert len(found) == lines
    for candidates in found:
        assert len(candidates) <= count
        assert all(isinstance(one, Hypothesis) and math.isfinite(one.score) for one in candidates)
        assert all(one.score <= 0 for one in candidates)
        scores = [one.score for one in candidates]
        assert scores == sorted(scores, reverse=True) or count > 2
