"""Engines are loaded once, give their memory back when idle, and come back when they are needed."""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.engines.protocols import EngineOptions, engine_class
from shared.ledger.tables import Base
from shared.pipeline import task_work
from shared.pipeline.stage import EngineUse
from shared.pipeline.task_work import EnginePool
from shared.queue.service_settings import ServiceSettings
from shared.queue.worker.task_execution import Runner
from shared.weights import WeightFolder

USE = EngineUse("voice_detector", "silero", EngineOptions())
QUIET = np.zeros(16_000, np.float32)


@pytest.fixture
def loaded(weights: Any, monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    """Every engine that the pool loads, the real one."""
    weights.path("silero-vad")
    kind, found = engine_class(USE.kind, USE.name), []

    class Watched(kind):  # type: ignore[misc, valid-type]
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            found.append(weakref.ref(self))

    monkeypatch.setattr(task_work, "engine_class", lambda kind, name: Watched)
    return found


def test_idle_engines_are_let_go_and_come_back(loaded: list[weakref.ref[Any]]) -> None:
    pool = EnginePool(WeightFolder())
    spent: list[float] = []
    engine = pool.get(USE, spent.append)
    assert pool.get(USE, spent.append).speech(QUIET) == engine.speech(QUIET) == []
    assert len(loaded) == 1 and pool.free(60.0) == 0 and loaded[0]() is not None
    assert pool.free(0.0) == 1 and loaded[0]() is None
    assert pool.free(0.0) == 0
    assert engine.speech(QUIET) == []  # a task that holds it goes on
    assert len(loaded) == 2 and loaded[1]() is not None
    assert len(spent) >= 4


def test_an_engine_at_work_is_not_idle(loaded: list[weakref.ref[Any]]) -> None:
    pool, inside, done = EnginePool(WeightFolder()), threading.Event(), threading.Event()
    engine = pool.get(USE, lambda seconds: None)

    def long(self: Any, audio: Any) -> list[Any]:
        inside.set()
        done.wait(20)
        return []

    loaded[0]().speech = long.__get__(loaded[0]())
    thread = threading.Thread(target=engine.speech, args=(QUIET,))
    thread.start()
    assert inside.wait(20)
    assert pool.free(0.0) == 0
    pool.get(USE, lambda seconds: None)  # is not kept waiting either
    done.set()
    thread.join(20)
    del loaded[0]().speech
    assert pool.free(0.0) == 1


def test_a_worker_without_work_frees_its_engines(loaded: list[weakref.ref[Any]], tmp_path: Path) -> None:
    settings = ServiceSettings.model_validate({"data": tmp_path, "engine_idle_s": 0.4})
    runner = Runner(settings, ("separation",), None)
    Base.metadata.create_all(runner.database.engine)
    runner.start()
    try:
        runner._pool.get(USE, lambda seconds: None).speech(QUIET)
        deadline = time.monotonic() + 20
        while loaded[0]() is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert loaded[0]() is None
    finally:
        runner.stopping.set()
        runner.stop()
