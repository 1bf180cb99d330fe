"""The in-process executor: drives the planner's tasks with a few threads.

A finished task is in the artifact store before anything else hears of it, so a run that dies is continued by running
the same command again. A failed language is left out, a failed title does not stop the others.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from shared.core.errors import Cancelled, CounterdubError, StorageError
from shared.core.store import Blob, Store
from shared.pipeline.events import Listener, RunEvent
from shared.pipeline.planner import Plan, Ref, Task, TitleRequest, plan, task_language
from shared.pipeline.readiness import Demand, Readiness
from shared.pipeline.run_ledger import RunLedger
from shared.pipeline.stage import stage
from shared.pipeline.task_runner import Done, Performer, failures
from shared.pipeline.task_work import EnginePool
from shared.settings.models import Settings

log = logging.getLogger(__name__)

CORES = os.cpu_count() or 1

FATAL = {"disk_full", "not_writable", "cancelled"}
"""Errors after which no other task can do better."""


@dataclass
class TitleRun:
    """How far one title has come."""

    request: TitleRequest
    done: dict[str, Done] = field(default_factory=dict)
    failed: dict[str, CounterdubError] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    stale: bool = False
    """The plan asks something else of a task that runs: plan again at its end."""
    plan: Plan = field(default_factory=lambda: Plan(()))
    ended: bool = False
    place: int = 0
    """Among the run's titles."""
    tasks: Readiness = field(default_factory=Readiness)

    @property
    def lost(self) -> CounterdubError | None:
        """The failure that no language can do without."""
        return next((error for task, error in self.failed.items() if task_language(task) is None), None)

    @property
    def complete(self) -> bool:
        return self.plan.complete and not self.tasks.open


@dataclass
class RunState:
    """What a run is about."""

    titles: Mapping[str, TitleRun]
    behind: Mapping[str, TitleRun]
    """Name of a title → the one whose cast goes on from its own."""
    asking: deque[TitleRun]
    """Titles whose plan may be another one by now."""
    ledger: RunLedger
    demand: Demand
    light: list[tuple[int, int, str, str]] = field(default_factory=list)
    heavy: list[tuple[int, int, str, str]] = field(default_factory=list)
    """Heaps of tasks without and with engines that may begin: place of the title, place in its plan, their names. One
    that was begun or taken back meanwhile is passed over."""
    futures: dict[Future[Done], tuple[TitleRun, Task]] = field(default_factory=dict)
    engines_busy: int = 0


class Executor:
    """Runs titles to their end.

    Args:
        listener: Told what happens, by this thread and by those that work.
        jobs: Tasks with engines at a time. Engines use several threads themselves, so few are enough. Tasks without
            engines use one thread each and fill the other cores.
        fresh: Do the work again even where the store has it.
        cancelled: Once set, no task is begun, and those that run end soon.
    """

    def __init__(
        self,
        store: Store,
        pool: EnginePool,
        settings: Settings,
        listener: Listener,
        jobs: int = 1,
        fresh: bool = False,
        cancelled: threading.Event | None = None,
    ) -> None:
        self.store = store
        self.cancelled = cancelled or threading.Event()
        self._pool = pool
        self._performer = Performer(store, pool, fresh)
        self._settings = settings
        self._tell = listener
        self._jobs = jobs

    def run(self, requests: Sequence[TitleRequest], ledger: RunLedger) -> list[TitleRun]:
        """Run all titles; errors of titles and languages are kept in their :class:`TitleRun` and in the ledger.

        Raises:
            CounterdubError: When nothing more can be done: cancelled, disk full, not writable.
        """
        titles = {request.name: TitleRun(request, place=place) for place, request in enumerate(requests)}
        behind = {title.request.previous: title for title in titles.values() if title.request.previous}
        run = RunState(titles, behind, deque(titles.values()), ledger, Demand(titles))
        for name in titles:
            ledger.begin_title(name)
        fatal: CounterdubError | None = None
        with ThreadPoolExecutor(max(self._jobs, CORES), thread_name_prefix="task") as threads:
            try:
                while True:
                    if fatal is None and self.cancelled.is_set():
                        fatal = Cancelled()
                    if fatal is None:
                        while run.asking:
                            self._plan(run, run.asking.popleft())
                        self._start(run, threads)
                    if not run.futures:
                        break
                    finished, _ = wait(run.futures, return_when=FIRST_COMPLETED)
                    for future in finished:
                        error = self._collect(run, future)
                        if error is not None and error.code in FATAL:
                            fatal = fatal or error
                            self.cancelled.set()
            except KeyboardInterrupt:
                self.cancelled.set()
                fatal = Cancelled()
        if fatal is not None:
            raise fatal
        return list(titles.values())

    def execute(self, title: str, task: Task, inputs: Mapping[str, Path | Blob]) -> Done:
        """Do one task, or find that it has been done; see :meth:`Performer.perform`."""
        return self._performer.perform(task, inputs, self._settings, self.cancelled, self._reporter(title, task))

    def _plan(self, run: RunState, title: TitleRun) -> None:
        """Plan a title anew, with what is known by now."""

        def known(name: str, task: str, output: str) -> Path | Blob | None:
            done = run.titles[name].done.get(task) if name in run.titles else None
            blob = done.outputs.get(output) if done else None
            # The plan reads facts of its own title; of all else it asks only whether, and where, it is.
            reads = blob is not None and name == title.request.name and output.endswith(".json")
            return self.store.fetch(blob) if blob is not None and reads else blob

        if not title.ended and not title.lost:
            before = run.titles.get(title.request.previous or "")
            fresh = plan(title.request, self._settings, known, set(title.failed), cast_ready(before))
            if len(fresh.tasks) != len(title.plan.tasks):
                self._tell(RunEvent("plan_grew", title.request.name, planned=len(fresh.tasks)))
            entered = run.ledger.enter_plan(title.request.name, fresh)
            title.stale = entered.stale
            if not entered.stale:
                for task_id in entered.redone:
                    title.done.pop(task_id, None)
                title.plan = fresh
                ready = title.tasks.adopt(fresh, title.done)
                if run.demand.plan(title.request.name, fresh, title.tasks):
                    self._free_engines(run)
                self._offer(run, title, ready)
        self._settle(run, title)

    def _offer(self, run: RunState, title: TitleRun, tasks: Iterable[Task]) -> None:
        """Tasks that may begin now."""
        for task in tasks:
            heap = run.light if self._light(task) else run.heavy
            heappush(heap, (title.place, title.tasks.place(task.id), title.request.name, task.id))

    def _start(self, run: RunState, threads: ThreadPoolExecutor) -> None:
        """Start tasks that may begin, earlier titles first, while threads are free."""
        while len(run.futures) < max(self._jobs, CORES):
            heaps = [run.light, run.heavy] if run.engines_busy < self._jobs else [run.light]
            waiting = [heap for heap in heaps if heap]
            if not waiting:
                return
            heap = min(waiting, key=lambda one: one[0])
            _, _, name, task_id = heappop(heap)
            title = run.titles[name]
            if title.lost or task_id in title.running or task_id in title.failed or not title.tasks.may_begin(task_id):
                continue
            task = title.tasks.task(task_id)
            if not run.ledger.begin_task(name, task):
                continue  # Given up with its language; the plan does not say so yet.
            title.running.add(task_id)
            run.engines_busy += heap is run.heavy
            self._tell(RunEvent("task_started", name, task_id, task.stage, task_language(task_id)))
            # Now: what is done may have to be made again while this one waits for a thread.
            inputs = {
                key: title.done[value.task].outputs.get(value.output) if isinstance(value, Ref) else value
                for key, value in task.inputs.items()
            }
            run.futures[threads.submit(self._guarded, title, task, inputs)] = (title, task)

    def _light(self, task: Task) -> bool:
        return not stage(task.stage).engines(self._settings, task.scope)

    def _guarded(self, title: TitleRun, task: Task, inputs: Mapping[str, Path | Blob | None]) -> Done:
        """:meth:`execute` with every failure turned into a CounterdubError that names its stage."""
        name = title.request.name
        with failures(task.stage, f"task {task.id} of {name}"):
            given = {key: value for key, value in inputs.items() if value is not None}
            if len(given) < len(inputs):
                missing = ", ".join(sorted(set(inputs) - set(given)))
                raise CounterdubError(f"A stage has not made {missing}.", code="missing_output")
            return self.execute(name, task, given)

    def _collect(self, run: RunState, future: Future[Done]) -> CounterdubError | None:
        """Book a finished task."""
        title, task = run.futures.pop(future)
        title.running.discard(task.id)
        run.engines_busy -= not self._light(task)
        event: dict[str, Any] = {
            "title": title.request.name,
            "task": task.id,
            "stage": task.stage,
            "language": task_language(task.id),
        }
        error = future.exception()
        if error is None:
            done = future.result()
            try:
                run.ledger.finish_task(title.request.name, task, done)
            except StorageError as refused:
                refused.stage = refused.stage or task.stage
                raise
            title.done[task.id] = done
            self._offer(run, title, title.tasks.end(task.id))
            if run.demand.end(title.request.name, task.stage):
                self._free_engines(run)
            self._ask(run, title, task)
            self._tell(
                RunEvent(
                    "task_done", **event, cached=done.cached, seconds=done.seconds, engine_seconds=done.engine_seconds
                )
            )
            self._settle(run, title)
            return None
        if not isinstance(error, CounterdubError):
            raise error
        if error.code in FATAL:
            try:
                run.ledger.stop_task(title.request.name, task, error)
            except StorageError as refused:  # On a full disk nothing can be booked either; the first error is told.
                log.warning("the end of %s could not be booked: %s", task.id, refused.message)
        else:
            run.ledger.fail_task(title.request.name, task, error)
            title.failed[task.id] = error
            run.asking += [title, *self._next(run, title)]
        self._tell(RunEvent("task_failed", **event, error=error.to_dict()))
        return error

    def _free_engines(self, run: RunState) -> None:
        """Let go of engines that no task to come asks for: on a card the next stage's may need their memory."""
        languages = sorted({language for title in run.titles.values() for language in title.request.languages})
        wanted = run.demand.engines(self._settings, languages)
        if wanted is not None and (freed := self._pool.keep(wanted)):
            log.info("engines that are no longer needed gave their memory back: %d", freed)

    def _ask(self, run: RunState, title: TitleRun, task: Task) -> None:
        """Have those planned again whose plan a finished task is a fact for; of all others nothing would change."""
        grown = task.stage in ("ingest", "language") or (task.stage == "dubbing" and not title.tasks.unspoken)
        if title.stale or grown:
            run.asking.append(title)
        if task.stage == "cast":
            run.asking += self._next(run, title)

    def _next(self, run: RunState, title: TitleRun) -> list[TitleRun]:
        behind = run.behind.get(title.request.name)
        return [behind] if behind else []

    def _settle(self, run: RunState, title: TitleRun) -> None:
        """Decide whether a title has come to its end."""
        if title.ended or title.running or not (title.lost or title.complete):
            return
        title.ended = True
        run.demand.drop(title.request.name)
        error = title.lost.to_dict() if title.lost else None
        run.ledger.end_title(title.request.name, error)
        self._tell(RunEvent("title_failed" if error else "title_done", title.request.name, error=error))
        run.asking += self._next(run, title)

    def _reporter(self, title: str, task: Task) -> Callable[[float], None]:
        def report(share: float) -> None:
            self._tell(RunEvent("task_progress", title, task.id, task.stage, task_language(task.id), share=share))

        return report


def cast_ready(before: TitleRun | None) -> bool:
    """Whether the casts of the title before are known, or never will be."""
    if before is None or before.ended:
        return True
    languages = before.request.languages
    return all(
        f"cast/{lang}" in before.done or any(task_language(task) == lang for task in before.failed)
        for lang in languages
    )
