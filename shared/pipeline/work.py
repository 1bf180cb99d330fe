"""What a task needs while it runs: its engines, its temporary folder, its smaller artifacts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from shared.engines import EngineOptions, Timed, WeightFiles, engine_class, missing
from shared.errors import Cancelled, CounterdubError, EngineError
from shared.pipeline.planner import Task
from shared.pipeline.stage import EngineUse, Stage
from shared.store import Store, digest, storage_errors
from shared.weights import WeightFolder

# Where a result was computed does not change it.
_NOT_HASHED = {"device", "threads", "beam_threads", "lock_timeout_s"}


def hashed_settings(settings: BaseModel) -> dict[str, Any]:
    """The settings as JSON without what cannot change the result."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key not in _NOT_HASHED}
        return value

    return cast(dict[str, Any], strip(settings.model_dump(mode="json")))


class EnginePool:
    """Engines loaded once and shared by all tasks of the process; one call at a time for each."""

    def __init__(self, weights: WeightFolder) -> None:
        self._weights = weights
        self._engines: dict[Any, tuple[Any, threading.RLock]] = {}
        self._lock = threading.Lock()

    def identity(self, use: EngineUse) -> dict[str, Any]:
        """What names an engine's results: its name, model and the hashes of its weights."""
        kind = engine_class(use.kind, use.name)
        options = use.options
        return {
            "kind": use.kind,
            "name": use.name,
            "model": options.model,
            "seed": options.seed,
            "extra": dict(options.extra),
            "weights": {name: self._weights.digest(name) for name in kind.weights(options)} | given(kind, options),
        }

    def get(self, use: EngineUse, spent: Callable[[float], None]) -> Timed:
        """The loaded engine; time spent in it, loading included, goes to ``spent``."""
        options = use.options
        computed = (options.device, options.threads, options.seed, digest(dict(options.extra)))
        key = (use.kind, use.name, options.model, *computed)
        with self._lock:
            if key not in self._engines:
                kind = engine_class(use.kind, use.name)
                began = Timed(self._load, spent)
                self._engines[key] = (began(kind, use), threading.RLock())
        engine, lock = self._engines[key]
        return Timed(engine, spent, lock)

    def _load(self, kind: Any, use: EngineUse) -> Any:
        try:
            return kind(use.options, cast(WeightFiles, self._weights))
        except CounterdubError:
            raise
        except ImportError as error:
            raise missing(use.kind, use.name, error) from error
        except Exception as error:
            raise EngineError(
                f"The {use.kind} engine “{use.name}” could not be loaded: {error}", code="engine_load_failed"
            ) from error


def given(kind: Any, options: EngineOptions) -> dict[str, str]:
    """Hashes of weights that the operator gave as files instead of by a name in the registry."""
    digests = getattr(kind, "digests", None)
    return dict(digests(options)) if digests else {}


class TaskWork:
    """The :class:`~shared.pipeline.stage.Work` of one running task."""

    def __init__(
        self,
        stage: Stage,
        task: Task,
        store: Store,
        folder: Path,
        identities: Mapping[str, Any],
        cancelled: threading.Event,
        report: Callable[[float], None],
        fresh: bool = False,
    ) -> None:
        self.counters: dict[str, float] = {}
        self._stage = stage
        self._task = task
        self._store = store
        self._folder = folder
        self._identities = identities
        self._cancelled = cancelled
        self._report = report
        self._fresh = fresh
        self._number = 0

    def path(self, name: str) -> Path:
        self._number += 1
        return self._folder / f"{self._number:05}-{Path(name).name}"

    def progress(self, share: float) -> None:
        if self._cancelled.is_set():
            raise Cancelled(stage=self._stage.name)
        self._report(min(max(share, 0.0), 1.0))

    def count(self, name: str, amount: float = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + amount

    def cached(self, key: Mapping[str, Any], suffix: str, make: Callable[[Path], None]) -> Path:
        if self._cancelled.is_set():
            raise Cancelled(stage=self._stage.name)
        address = digest(
            {"part of": self._stage.name, "version": self._stage.version, "engines": self._identities, "key": dict(key)}
        )
        name = f"part{suffix}"
        found = None if self._fresh else self._store.find(address)
        self.count("parts_reused" if found else "parts_made")
        if found is None:
            path = self.path(name)
            with storage_errors("a temporary file"):
                make(path)
            found = self._store.put(address, {name: path})
        return self._store.fetch(found[name])
