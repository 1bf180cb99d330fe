"""Engines are loaded once, give their memory back when idle, and come back when they are needed."""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions, engine_class
from shared.ledger.tables import Base
from shared.pipeline import task_work
from shared.pipeline.stage import EngineUse
from shared.pipeline.task_work import EnginePool
from shared.queue.service_settings import ServiceSettings
from shared.queue.worker.task_execution import Runner
from shared.settings.models import Settings
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


def use_of(name: str, kind: str = "recognizer", **options: Any) -> EngineUse:
    return EngineUse(kind, name, EngineOptions(**options))


def test_options_that_say_what_holds_without_them_load_nothing_twice() -> None:
    plain = task_work.slot_key(use_of("faster-whisper", model="base"))
    assert task_work.slot_key(use_of("faster-whisper", model="base", extra={"beam_size": 5})) == plain
    assert task_work.slot_key(use_of("faster-whisper", model="base", extra={"allow_download": True})) == plain
    assert task_work.slot_key(use_of("faster-whisper", model="base", extra={"beam_size": 1})) != plain
    assert task_work.slot_key(use_of("faster-whisper", model="base", device="cuda")) != plain


def test_the_kind_of_device_names_results_and_which_card_does_not(weights: Any) -> None:
    pool = EnginePool(WeightFolder())
    identity = {
        device: pool.identity(use_of("m2m100", "translator", device=device)) for device in ("cpu", "cuda", "cuda:1")
    }
    assert "device" not in identity["cpu"], "keys of before stay"
    assert identity["cuda"] == identity["cuda:1"] != identity["cpu"]


def test_leave_to_download_changes_no_key() -> None:
    pool = EnginePool(WeightFolder())
    asked = pool.identity(use_of("m2m100", "translator", extra={"allow_download": True}))
    assert asked == pool.identity(use_of("m2m100", "translator"))
    allowed = Settings.model_validate({"translation": {"extra": {"allow_download": True}}}).translation
    assert task_work.hashed_settings(allowed) == task_work.hashed_settings(Settings().translation)


def test_memory_used_up_while_loading_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large:
        def __init__(self, *given: Any) -> None:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    monkeypatch.setattr(task_work, "engine_class", lambda kind, name: Large)
    with pytest.raises(EngineError) as caught:
        EnginePool(WeightFolder()).get(USE, lambda seconds: None)
    assert (caught.value.code, caught.value.retryable) == ("out_of_memory", True)


def test_engines_that_are_not_named_are_let_go(loaded: list[weakref.ref[Any]]) -> None:
    pool = EnginePool(WeightFolder())
    pool.get(USE, lambda seconds: None)
    assert pool.keep([USE]) == 0 and loaded[0]() is not None
    assert pool.keep([]) == 1 and loaded[0]() is None
