"""Progress bars: one line for each stage and language; nothing when nobody watches."""

from __future__ import annotations

import threading
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from services.cli.terminal.output import errors
from shared.pipeline.events import RunEvent


def make_progress(*columns: ProgressColumn, quiet: bool) -> Progress:
    """A progress display of these columns on a terminal; nothing where nobody watches, or if ``quiet``."""
    return Progress(*columns, console=errors, disable=quiet or not errors.is_terminal)


class Bars:
    """A listener that draws. On something that is not a terminal it only prints failures.

    Bars count tasks of a stage and language over all titles; the totals grow as the plan does.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console = console
        self._live = console.is_terminal and not quiet
        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not self._live,
        )
        self._bars: dict[str, TaskID] = {}
        self._shares: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: RunEvent) -> None:
        with self._lock:
            self._hear(event)

    def _hear(self, event: RunEvent) -> None:
        if event.kind == "task_failed" and event.error:
            self._console.print(
                f"{event.title}: {event.error['message']} ({event.error['code']})", style="red", markup=False
            )
        if event.task is None or event.stage is None:
            return
        name = f"{event.stage} {event.language}" if event.language else event.stage
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=0, note="")
        bar, key = self._bars[name], (event.title, event.task)
        if event.kind == "task_started":
            self._progress.update(bar, total=(self._progress.tasks[self._at(bar)].total or 0) + 1)
            self._shares[key] = 0.0
        share = {"task_done": 1.0, "task_failed": 1.0}.get(event.kind, event.share or 0.0)
        self._progress.advance(bar, share - self._shares.get(key, 0.0))
        self._shares[key] = share
        if event.kind == "task_done":
            self._progress.update(bar, note="found" if event.cached else f"{event.seconds or 0:.1f} s")

    def _at(self, bar: TaskID) -> int:
        return next(index for index, task in enumerate(self._progress.tasks) if task.id == bar)
