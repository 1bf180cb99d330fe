"""How good and how fast each translation engine is: chrF against our own references, and seconds a line."""

from __future__ import annotations

import json
import time
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from services.translation.budget import budget, slots
from services.translation.line import LineTask, translate_line
from shared.core.records import Utterance
from shared.core.text import spoken_characters
from shared.engines.protocols import EngineOptions
from shared.settings.models import TranslationSettings
from tests.conftest import ROOT, CheckedWeights
from tests.unit.services.translation.chrf import chrf

pytestmark = pytest.mark.bench

REFERENCES = tomllib.loads(
    (ROOT / "tests" / "unit" / "services" / "translation" / "references.toml").read_text(encoding="utf-8")
)
FLOORS = {"es": 60.0, "fr": 60.0, "it": 40.0, "pt": 55.0, "de": 50.0, "ja": 14.0}
"""Copying the source scores 3 to 17; below these something is broken."""


def sample_lines() -> list[Utterance]:
    truth = json.loads(Path(ROOT, "tests", "sample", "truth", "truth.json").read_text(encoding="utf-8"))
    return [
        Utterance(id=f"u{line['number']:04}", start=line["start"], end=line["end"], language="en", text=line["text"])
        for line in truth["lines"]
    ]


@pytest.fixture(scope="module")
def embedded(weights: CheckedWeights) -> Any:
    if find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    from services.translation.engines.embedded import EmbeddedTranslator

    for name in EmbeddedTranslator.weights(EngineOptions()):
        weights.path(name)
    return EmbeddedTranslator(EngineOptions(threads=2), weights)


@pytest.mark.parametrize("target", sorted(REFERENCES))
def test_embedded_default_on_the_sample(embedded: Any, target: str) -> None:
    lines = sample_lines()
    seconds = slots(lines)
    settings = TranslationSettings()
    counts: dict[str, int] = {}
    said, fits = [], 0
    began = time.perf_counter()
    for place, line in enumerate(lines):
        before = tuple(other.text for other in lines[max(0, place - 2) : place])
        after = tuple(other.text for other in lines[place + 1 : place + 3])
        room = budget(line.text, line.end - line.start, seconds[line.id], "en", target)
        answer = translate_line(LineTask(line.text, before, after, "en", target, room), settings, embedded, counts)
        assert answer.status == "ok", f"{line.text}: {answer.reason}"
        said.append(answer.hypotheses[0].text)
        fits += spoken_characters(said[-1]) <= room.limit
        print(f"  {target} | {line.text} => {said[-1]}")
    spent = (time.perf_counter() - began) / len(lines)
    score = chrf(said, REFERENCES[target])
    copied = chrf([line.text for line in lines], REFERENCES[target])
    print(f"{target}: chrF {score:.1f} (source copied {copied:.1f}), {spent:.2f} s a line with loading")
    print(f"{target}: {fits} of {len(lines)} fit, {counts}")
    assert fits >= 0.8 * len(lines)
    assert score > FLOORS[target]
