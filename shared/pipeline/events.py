"""What a run tells while it goes on: for progress bars, logs and the event table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

EventKind = Literal[
    "plan_grew", "task_started", "task_progress", "task_done", "task_failed", "title_done", "title_failed", "run_done"
]


@dataclass(frozen=True)
class RunEvent:
    """One thing that happened. Fields that do not apply are None."""

    kind: EventKind
    title: str = ""
    task: str | None = None
    stage: str | None = None
    language: str | None = None
    share: float | None = None
    """Finished share of a task, 0–1."""
    planned: int | None = None
    """Tasks of this title known so far, for ``plan_grew``."""
    cached: bool | None = None
    """The result was found, not computed."""
    seconds: float | None = None
    engine_seconds: float | None = None
    error: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}


Listener = Callable[[RunEvent], None]
