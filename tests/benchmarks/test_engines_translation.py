"""Translation in batches beside one line at a time, in one run, with the same real weights (OPUS en→fr)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from shared.engines.protocols import EngineOptions, Line
from tests.benchmarks.test_translation import sample_lines
from tests.conftest import CheckedWeights

pytestmark = pytest.mark.bench


def transformers_engine(weights: CheckedWeights) -> Any:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from services.translation.engines.families import MarianTranslator

    return MarianTranslator(EngineOptions(model="opus-mt-en-fr", threads=2), weights)


def ctranslate2_engine(weights: CheckedWeights) -> Any:
    pytest.importorskip("ctranslate2")
    from services.translation.engines.opus import OpusTranslator

    return OpusTranslator(EngineOptions(threads=2), weights)


@pytest.mark.parametrize("make", [transformers_engine, ctranslate2_engine])
def test_batched_beside_one_by_one(make: Callable[[CheckedWeights], Any], weights: CheckedWeights) -> None:
    engine = make(weights)
    lines = [Line(line.text) for line in sample_lines()]
    engine.translate(lines[:1], "en", "fr", 3)
    began = time.perf_counter()
    alone = [engine.translate([line], "en", "fr", 3)[0] for line in lines]
    middle = time.perf_counter()
    together = engine.translate(lines, "en", "fr", 3)
    ended = time.perf_counter()
    one, many = (middle - began) / len(lines), (ended - middle) / len(lines)
    print(f"{engine.name}: {one:.3f} s a line alone, {many:.3f} s in batches: {one / many:.2f} times as fast")
    same = sum(a[0].text == b[0].text for a, b in zip(alone, together, strict=True))
    print(f"{engine.name}: {same} of {len(lines)} best candidates the same")
    assert same >= 0.9 * len(lines)
    assert many < 1.1 * one
