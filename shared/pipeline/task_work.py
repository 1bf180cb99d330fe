"""What a task needs while it runs: its engines, its temporary folder, its smaller artifacts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from shared.core.errors import Cancelled, CounterdubError, EngineError
from shared.core.storage_errors import storage_errors
from shared.core.store import Store, digest
from shared.engines import accelerator
from shared.engines.protocols import EngineOptions, Timed, WeightFiles, engine_class, missing
from shared.engines.requirements import device_of
from shared.observability.internal_errors import summary
from shared.pipeline.stage import EngineUse, Stage
from shared.weights import WeightFolder

DOWNLOAD = "allow_download"
"""The option that lets an engine fetch its model: how a model came here says nothing of what it makes."""
# Where a result was computed does not change it, but for the kind of device, which is in the engines' identity.
_NOT_HASHED = {"device", "threads", "beam_threads", "lock_timeout_s", DOWNLOAD}


def hashed_settings(settings: BaseModel) -> dict[str, Any]:
    """The settings as JSON without what cannot change the result."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key not in _NOT_HASHED}
        return value

    return cast(dict[str, Any], strip(settings.model_dump(mode="json")))


class Slot:
    """An engine that is loaded when it is first needed, and again after its memory was given back."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self.lock = threading.RLock()
        """Held by every call of the engine."""
        self.used = time.monotonic()
        self._load = load
        self._engine: Any = None

    def engine(self) -> Any:
        # Without the lock where it is there: a call that runs holds that for minutes.
        if (engine := self._engine) is not None:
            return engine
        with self.lock:
            if self._engine is None:
                self._engine = self._load()
                self.used = time.monotonic()
            return self._engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine(), name)

    def free(self, idle_s: float) -> bool:
        """Let go of an engine that nobody has called for ``idle_s`` seconds; whether it was."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if self._engine is None or time.monotonic() - self.used < idle_s:
                return False
            engine, self._engine = self._engine, None
            # A task that asked for it before may hold on to it.
            if hasattr(engine, "release"):
                engine.release()
            return True
        finally:
            self.lock.release()


class EnginePool:
    """Engines loaded once and shared by all tasks of the process; one call at a time for each."""

    def __init__(self, weights: WeightFolder) -> None:
        self._weights = weights
        self._slots: dict[Any, Slot] = {}
        self._lock = threading.Lock()

    def identity(self, use: EngineUse) -> dict[str, Any]:
        """What names an engine's results: its name, model, the hashes of its weights, and what kind of device it is on.

        A card computes in float16 where nothing else is set, and sums in another order: what it makes is not what a
        processor makes. The processor is not named, so that results of before keep their keys.
        """
        kind = engine_class(use.kind, use.name)
        options = use.options
        device = device_of(kind, options).partition(":")[0]
        return {
            "kind": use.kind,
            "name": use.name,
            "model": options.model,
            "seed": options.seed,
            "extra": {name: value for name, value in options.extra.items() if name != DOWNLOAD},
            "weights": {name: self._weights.digest(name) for name in kind.weights(options)} | given(kind, options),
            **({} if device == "cpu" else {"device": device}),
        }

    def get(self, use: EngineUse, spent: Callable[[float], None]) -> Timed:
        """The loaded engine; time spent in it, loading included, goes to ``spent``."""
        key = slot_key(use)
        with self._lock:
            if key not in self._slots:
                kind = engine_class(use.kind, use.name)
                self._slots[key] = Slot(partial(self._load, kind, use))
            slot = self._slots[key]
            Timed(slot.engine, spent)()

        def used(seconds: float) -> None:
            slot.used = time.monotonic()
            spent(seconds)

        return Timed(slot, used, slot.lock)

    def free(self, idle_s: float) -> int:
        """Give back the memory of engines that nobody has called for ``idle_s`` seconds; how many there were.

        Whoever holds one may go on calling it: it is loaded again then.
        """
        return self._free(list(self._slots.values()), idle_s)

    def keep(self, uses: Iterable[EngineUse]) -> int:
        """Give back the memory of all engines but those that ``uses`` name; how many there were."""
        wanted = {slot_key(use) for use in uses}
        return self._free([slot for key, slot in list(self._slots.items()) if key not in wanted], 0.0)

    def _free(self, slots: Iterable[Slot], idle_s: float) -> int:
        freed = sum(slot.free(idle_s) for slot in slots)
        if freed:
            accelerator.release()
        return freed

    def _load(self, kind: Any, use: EngineUse) -> Any:
        try:
            return kind(use.options, cast(WeightFiles, self._weights))
        except CounterdubError:
            raise
        except ImportError as error:
            raise missing(use.kind, use.name, error) from error
        except Exception as error:
            if accelerator.out_of_memory(error):
                accelerator.release()
                raise accelerator.too_large() from error
            raise EngineError(
                f"The {use.kind} engine “{use.name}” could not be loaded: {summary(error)}", code="engine_load_failed"
            ) from error


def slot_key(use: EngineUse) -> tuple[Any, ...]:
    """What makes two uses one loaded engine. An option that says what holds without it makes no difference."""
    options, kind = use.options, engine_class(use.kind, use.name)
    defaults: Mapping[str, Any] = getattr(kind, "defaults", {})
    extra = {name: value for name, value in {**defaults, **options.extra}.items() if name != DOWNLOAD}
    return (use.kind, use.name, options.model, device_of(kind, options), options.threads, options.seed, digest(extra))


def given(kind: Any, options: EngineOptions) -> dict[str, str]:
    """Hashes of weights that the operator gave as files instead of by a name in the registry."""
    digests = getattr(kind, "digests", None)
    return dict(digests(options)) if digests else {}


class TaskWork:
    """The :class:`~shared.pipeline.stage.Work` of one running task."""

    def __init__(
        self,
        stage: Stage,
        store: Store,
        folder: Path,
        identities: Mapping[str, Any],
        cancelled: threading.Event,
        report: Callable[[float], None],
        fresh: bool = False,
    ) -> None:
        self.counters: dict[str, float] = {}
        self._stage = stage
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
        stored = None if self._fresh else self._store.find(address)
        self.count("parts_reused" if stored else "parts_made")
        if stored is None:
            path = self.path(name)
            with storage_errors("a temporary file"):
                make(path)
            stored = self._store.put(address, {name: path})
        return self._store.fetch(stored[name])
