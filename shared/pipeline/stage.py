"""The contract of a stage: a pure function from input files and settings to output files.

    run(scope, inputs, settings, engines, work) -> outputs

Its outputs are kept in the artifact store under the hash of all that went in, so the same work is never done twice.
Stages are found through the entry points ``counterdub.stages``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from shared.core.entry_points import group
from shared.engines.protocols import EngineOptions
from shared.settings.models import Settings


@dataclass(frozen=True)
class Scope:
    """Which part of a title a task works on. Enters the hash."""

    language: str | None = None
    chunk: int | None = None
    track: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Small JSON values that are neither settings nor files: given source language, edited lines."""


class Work(Protocol):
    """What a running stage may use of the executor."""

    def path(self, name: str) -> Path:
        """A fresh path in a private temporary folder; return it among the outputs to keep the file."""
        ...

    def progress(self, share: float) -> None:
        """Report the finished share, 0–1. Raises Cancelled when the run is to stop: call it often."""
        ...

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter shown in the report (cache hits, retries, dropped lines)."""
        ...

    def cached(self, key: Mapping[str, Any], suffix: str, make: Callable[[Path], None]) -> Path:
        """A smaller artifact of its own, such as one synthesised line: made once for the same ``key`` (JSON values).

        The engine identities and the stage's version enter the key by themselves. ``make(path)`` writes the file.
        """
        ...


@dataclass(frozen=True)
class EngineUse:
    """An engine that a stage asks for."""

    kind: str
    """One of :data:`shared.engines.protocols.KINDS`."""
    name: str
    options: EngineOptions


Run = Callable[[Scope, Mapping[str, Path], Any, Mapping[str, Any], Work], Mapping[str, Path]]


@dataclass(frozen=True)
class Stage:
    """How the executor runs a stage.

    Attributes:
        name: Name in the plan and of the entry point.
        version: Raise it whenever the same inputs would give other outputs.
        run: The pure function.
        settings: The part of the settings that it reads (enters the hash).
        engines: Role → engine, given the settings and the scope. Constructed by the executor, passed by role.
        queue: Which service does it.
    """

    name: str
    version: int
    run: Run
    settings: Callable[[Settings], BaseModel]
    engines: Callable[[Settings, Scope], Mapping[str, EngineUse]]
    queue: str


@lru_cache
def stage(name: str) -> Stage:
    """The stage registered under ``name``."""
    registered: Stage = group("counterdub.stages")[name].load()
    return registered


@lru_cache
def queue_of(name: str) -> str:
    """The queue of a stage, without importing it: a service's image holds the packages of its own stages only."""
    if name == "fetch":
        return name
    point = group("counterdub.stages")[name]
    package, _, rest = point.module.partition(".")
    return rest.partition(".")[0] if package == "services" else stage(name).queue


CARD = "-gpu"
"""Behind a queue's name: its tasks need torch or a graphics card, which only some of its service's workers have."""


def card_queues(settings: Settings) -> frozenset[str]:
    """Queues of which these settings ask engines on torch or on a card, known without importing any.

    The names of engines on torch are in the entry points ``counterdub.torch``.
    """
    dubbing, guard = settings.dubbing, settings.dubbing.guard
    listening = (settings.transcription, settings.quality)
    asked: dict[str, tuple[Sequence[str | None], Sequence[str]]] = {
        "separation": ([settings.separation.engine], [settings.separation.device]),
        "transcription": ([one.engine for one in listening], [one.device for one in listening]),
        "translation": (
            [settings.translation.engine, *settings.translation.by_language.values()],
            [settings.translation.device],
        ),
        "dubbing": ([dubbing.engine, dubbing.converter, guard.fallback, guard.recognizer], [dubbing.device]),
    }
    on_torch = group("counterdub.torch")
    return frozenset(
        queue
        for queue, (names, devices) in asked.items()
        if any(name in on_torch for name in names) or any(device != "cpu" for device in devices)
    )


@lru_cache
def stage_names() -> tuple[str, ...]:
    """All registered stages."""
    return tuple(sorted(group("counterdub.stages")))
