"""What every translator has to keep, whatever is behind it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from services.translation.stage import STAGE
from shared.core.errors import Cancelled, UsageError
from shared.core.records import Hypothesis, write_jsonl
from shared.engines.protocols import Line
from shared.pipeline.stage import Scope
from shared.settings.models import TranslationSettings
from tests.engines.stopping import Stopping
from tests.unit.services.translation.fakes import utterances

LINES = [Line("Good evening, Tom. Please come in."), Line("Go!"), Line("I know this letter, my father wrote it.")]


def check(engine: Any, source: str, target: str, long: int = 120) -> None:
    """Shapes, scores, order, repeatability, empty and very long lines."""
    pairs = engine.languages()
    assert pairs is None or (source, target) in pairs
    found = engine.translate(LINES, source, target, 2)
    well_formed(found, len(LINES), 2)
    assert engine.translate(LINES, source, target, 2) == found
    assert engine.translate([], source, target, 2) == []
    well_formed(engine.translate([Line("", max_chars=10)], source, target, 2), 1, 2)
    well_formed(engine.translate(LINES[:1], source, target, 3, seed=7), 1, 3 + 1)
    if long:
        well_formed(engine.translate([Line("and so on, " * long)], source, target, 1), 1, 1)


def well_formed(found: list[list[Hypothesis]], lines: int, count: int) -> None:
    assert len(found) == lines
    for candidates in found:
        assert len(candidates) <= count
        assert all(isinstance(one, Hypothesis) and math.isfinite(one.score) for one in candidates)
        assert all(one.score <= 0 for one in candidates)
        scores = [one.score for one in candidates]
        assert scores == sorted(scores, reverse=True) or count > 2


def run_stage(engine: Any, source: str, target: str, folder: Path, reports: int) -> None:
    """The stage on three lines, told to stop after some reports."""
    inputs = {name: folder / name for name in ("utterances.jsonl", "chunks.json", "language.json")}
    write_jsonl(inputs["utterances.jsonl"], utterances([line.text for line in LINES]))
    inputs["chunks.json"].write_text('[{"index": 0, "start": 0, "end": 2880000}]')
    inputs["language.json"].write_text(f'{{"language": "{source}"}}')
    STAGE.run(
        Scope(target, 0), inputs, TranslationSettings(), {"translator": engine}, Stopping(folder / "stopped", reports)
    )


def stops_when_told(engine: Any, source: str, target: str, folder: Path) -> None:
    """The stage ends at the line where it is told to, and the engine works as before."""
    lines = [Line(line.text) for line in LINES[:2]]
    before = engine.translate(lines, source, target, 1)
    with pytest.raises(Cancelled):
        run_stage(engine, source, target, folder, 1)
    assert engine.translate(lines, source, target, 1) == before


def refuses_what_it_cannot(engine: Any, source: str, folder: Path) -> None:
    """By the stage, before anything is asked, where the engine says its pairs."""
    with pytest.raises(UsageError) as caught:
        run_stage(engine, source, "ia", folder, 10)
    assert caught.value.code == "unsupported_pair"
