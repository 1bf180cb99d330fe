"""What ``counterdub engines --check`` measures and says, without and with a real engine."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions
from shared.pipeline import engine_check
from shared.pipeline.engine_check import apart, configured, measure
from shared.pipeline.stage import EngineUse
from shared.settings.models import load_settings


def use(kind: str, name: str, **options: Any) -> EngineUse:
    return EngineUse(kind, name, EngineOptions(**options))


class Quick:
    dtype = "float32"

    def __init__(self, options: EngineOptions, weights: Any) -> None:
        self.calls = 0

    def vocals(self, mix: np.ndarray) -> np.ndarray:
        self.calls += 1
        assert mix.shape == (2, 48_000)
        return mix


def test_every_engine_of_the_settings_once() -> None:
    found = configured(load_settings("cpu"))
    names = {(one.kind, one.name) for one in found}
    assert {("separator", "spleeter"), ("recognizer", "faster-whisper"), ("synthesizer", "kokoro")} <= names
    assert {kind for kind, _ in names} >= {"translator", "embedder", "voice_detector", "shot_detector"}
    assert all(one not in found[:index] for index, one in enumerate(found))


def test_figures_of_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_check, "engine_class", lambda kind, name: Quick)
    row = measure(use("separator", "quick", model="m"), "es", weights=object())
    assert row.error is None and row.dtype == "float32" and row.device == "cpu" and row.model == "m"
    assert row.load_seconds is not None and row.load_seconds < 1
    assert row.speed is not None and row.speed > 1 and row.memory_bytes is not None
    assert json.loads(json.dumps(row.to_dict()))["engine"] == "quick"


def test_memory_on_a_card_is_the_cards_not_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """CTranslate2 computes there without torch, which counts only what it took itself."""
    told = iter([1000, 3500])
    monkeypatch.setattr(engine_check, "engine_class", lambda kind, name: Quick)
    monkeypatch.setattr(engine_check, "card_bytes", lambda device: next(told) * 2**20 if device == "cuda:1" else None)
    row = measure(use("separator", "quick", device="cuda:1"), "es", weights=object())
    assert row.error is None and row.memory_bytes == 2500 * 2**20
    row = measure(use("separator", "quick", device="cuda:0"), "es", weights=object())
    assert row.error is None and row.memory_bytes is None, "not what the process grew by"


@pytest.mark.parametrize(
    "raised, code",
    [
        (EngineError("no", code="weights_missing"), "weights_missing"),
        (ModuleNotFoundError("no", name="torch"), "engine_missing"),
        (MemoryError(), "engine_load_failed"),
    ],
)
def test_an_engine_that_does_not_load_is_a_row(raised: Exception, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: EngineOptions, weights: Any) -> Any:
        raise raised

    monkeypatch.setattr(engine_check, "engine_class", lambda kind, name: broken)
    row = measure(use("separator", "broken"), "es", weights=object())
    assert (row.error, row.speed, row.load_seconds) == (code, None, None)


def test_an_unknown_engine_and_a_crash_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert apart(use("separator", "nothing"), "es").error == "unknown_engine"
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert apart(use("separator", "spleeter"), "es").error == "engine_crashed"


def test_a_real_engine_in_a_process_of_its_own(weights: Any) -> None:
    weights.path("silero-vad")
    row = apart(use("voice_detector", "silero"), "es")
    assert row.error is None, row
    assert row.speed is not None and row.speed > 1
    assert row.memory_bytes is not None and 1e6 < row.memory_bytes < 1e9
