"""Doing one task, or finding that it has been done: what both executors share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shared.core.errors import CounterdubError
from shared.core.storage_errors import storage_error
from shared.core.store import Blob, Store, digest, fetched, file_digest
from shared.observability.internal_errors import internal_error
from shared.pipeline.planner import Task
from shared.pipeline.stage import stage
from shared.pipeline.task_work import EnginePool, TaskWork, hashed_settings
from shared.settings.models import Settings


@dataclass
class Done:
    """A finished task."""

    key: str
    outputs: dict[str, Blob]
    cached: bool
    seconds: float = 0.0
    engine_seconds: float = 0.0
    counters: dict[str, float] = field(default_factory=dict)
    engines: Mapping[str, Any] = field(default_factory=dict)


class Performer:
    """Runs stages on an artifact store with a pool of engines.

    Args:
        fresh: Do the work again even where the store has it.
    """

    def __init__(self, store: Store, pool: EnginePool, fresh: bool = False) -> None:
        self.store = store
        self._pool = pool
        self._fresh = fresh
        self._digests: dict[Path, str] = {}

    def perform(
        self,
        task: Task,
        inputs: Mapping[str, Path | Blob],
        settings: Settings,
        cancelled: threading.Event,
        report: Callable[[float], None],
    ) -> Done:
        """Do one task, or find that it has been done.

        Args:
            inputs: Name → file given by the user, or stored output of another task.
            report: Told the finished share, 0–1; not called where the result is found.

        Raises:
            CounterdubError: Of the stage; ``cancelled`` soon after ``cancelled`` is set.
        """
        kind = stage(task.stage)
        section = kind.settings(settings)
        uses = dict(kind.engines(settings, task.scope))
        identities = {role: self._pool.identity(use) for role, use in uses.items()}
        key = digest(
            {
                "stage": kind.name,
                "version": kind.version,
                "scope": asdict(task.scope),
                "settings": hashed_settings(section),
                "engines": identities,
                "inputs": {
                    name: value.sha256 if isinstance(value, Blob) else self._digest(value)
                    for name, value in inputs.items()
                },
            }
        )
        stored = None if self._fresh else self.store.find(key)
        if stored is not None:
            return Done(key, stored, cached=True, engines=identities)
        spent: list[float] = []
        began = time.perf_counter()
        with self.store.workspace() as folder:
            files = {
                name: fetched(self.store, value, f"what {task.id} works on") if isinstance(value, Blob) else value
                for name, value in inputs.items()
            }
            work = TaskWork(kind, self.store, folder, identities, cancelled, report, self._fresh)
            work.progress(0.0)
            engines = {role: self._pool.get(use, spent.append) for role, use in uses.items()}
            outputs = kind.run(task.scope, files, section, engines, work)
            kept = self.store.put(key, outputs)
        seconds = time.perf_counter() - began
        return Done(key, kept, False, seconds, sum(spent), work.counters, identities)

    def _digest(self, path: Path) -> str:
        """Hash of a file the user gave, once a run."""
        if path not in self._digests:
            # A pipe or a device would never come to its end.
            if path.exists() and not path.is_file():
                raise CounterdubError(f"{path.name} is not a file.", code="unreadable", stage="ingest")
            try:
                self._digests[path] = file_digest(path)
            except OSError as error:
                raise CounterdubError(
                    f"{path.name} cannot be read: {error.strerror}.", code="unreadable", stage="ingest"
                ) from error
        return self._digests[path]


@contextmanager
def failures(stage_name: str, what: str) -> Iterator[None]:
    """Every failure within becomes a CounterdubError that names its stage.

    Args:
        what: The task and its title, for the log.
    """
    try:
        yield
    except CounterdubError as error:
        error.stage = error.stage or stage_name
        raise
    except OSError as error:
        failure = storage_error(error, "a result")
        failure.stage = stage_name
        raise failure from error
    except Exception as error:
        raise internal_error(error, stage_name, what) from error
