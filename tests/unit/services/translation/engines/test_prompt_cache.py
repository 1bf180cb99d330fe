"""A prompt that an earlier process read is put back: the same answers, to the last digit of their scores."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from services.translation.engines.llama import FILLER, WEIGHTS, LlamaTranslator
from services.translation.engines.prompt_cache import FOLDER, PromptCache, content_hash
from shared.core.records import Hypothesis
from shared.engines.protocols import EngineOptions, Line
from tests.conftest import CheckedWeights

LINE = Line("I know this letter.")
TARGET = "nl"
"""It has no examples, so its prompt is short."""


class Weights:
    """The real weights, beside a folder of prompts of the test's own."""

    def __init__(self, weights: CheckedWeights, root: Path) -> None:
        self._root = root
        (root / WEIGHTS).symlink_to(weights.path(WEIGHTS))

    def path(self, name: str) -> Path:
        return self._root / name


@pytest.fixture
def own(weights: CheckedWeights, tmp_path: Path) -> Weights:
    pytest.importorskip("xllamacpp")
    return Weights(weights, tmp_path)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Prompts that were read, a target each."""
    seen: list[str] = []
    complete = LlamaTranslator._complete

    def watched(self, examples, text, slot, **request):  # type: ignore[no-untyped-def]
        if text == FILLER:
            seen.append(examples.target)
        return complete(self, examples, text, slot, **request)

    monkeypatch.setattr(LlamaTranslator, "_complete", watched)
    return seen


def answer(weights: Weights, line: Line = LINE) -> list[Hypothesis]:
    """Of an engine that is loaded for it and freed."""
    gc.collect()
    engine = LlamaTranslator(EngineOptions(threads=2), weights)
    return engine.translate([line], "en", TARGET, 1)[0]


def test_what_was_read_is_not_read_again(own: Weights, tmp_path: Path, read: list[str]) -> None:
    first = answer(own)
    assert read == [TARGET]
    assert answer(own) == first
    assert read == [TARGET], "put back"
    other = Line("My brother found this letter yesterday.")
    put_back = answer(own, other)
    (kept,) = (tmp_path / FOLDER).iterdir()
    kept.unlink()
    assert answer(own, other) == put_back, "as after reading"
    assert read == [TARGET] * 2


def test_a_damaged_file_is_read_anew_and_replaced(own: Weights, tmp_path: Path, read: list[str]) -> None:
    first = answer(own)
    (kept,) = (tmp_path / FOLDER).iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    assert answer(own) == first and len(read) == 2
    (kept,) = (tmp_path / FOLDER).iterdir()
    assert content_hash(kept) in kept.name


def test_a_folder_that_cannot_be_made_keeps_nothing(own: Weights, tmp_path: Path, read: list[str]) -> None:
    (tmp_path / FOLDER).write_text("a file")
    assert answer(own) == answer(own) and len(read) == 2


def test_the_longest_unused_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.translation.engines.prompt_cache.KEPT", 2)

    def save(server: None, key: str, slot: int, action: str, name: str) -> None:
        (tmp_path / name).write_text(f"state {slot}")
        os.utime(tmp_path / name, (slot, slot))

    monkeypatch.setattr("services.translation.engines.prompt_cache.ask", save)
    cache = PromptCache(tmp_path, "maker")
    for number in range(3):
        cache.keep(None, "", number, f"prompt {number}")
    assert not cache._found("prompt 0") and cache._found("prompt 1") and cache._found("prompt 2")
    assert not PromptCache(tmp_path, "another model")._found("prompt 2")
