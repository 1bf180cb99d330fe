"""Which tasks may begin and which engines are still wanted, kept up as tasks end: an end costs what waited for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from shared.pipeline.planner import Plan, Task
from shared.pipeline.stage import EngineUse, Scope, stage, stage_names
from shared.settings.models import Settings

LATE = ("cast", "audition")
"""Stages with engines that a plan may name only when it grows again."""


class Readiness:
    """The tasks of one title.

    Attributes:
        open: Ids of those that are not done.
        unspoken: Of those, the ones that speak a language's lines: with the last of them the plan grows.
    """

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.unspoken: set[str] = set()
        self._tasks: dict[str, Task] = {}
        self._places: dict[str, int] = {}
        self._left: dict[str, int] = {}
        self._waiting: dict[str, list[str]] = {}

    def adopt(self, plan: Plan, done: Collection[str]) -> list[Task]:
        """Take another plan; returns the tasks that may begin, in its order."""
        self._tasks = {task.id: task for task in plan.tasks}
        self._places = {task.id: place for place, task in enumerate(plan.tasks)}
        self.open = {task for task in self._tasks if task not in done}
        self.unspoken = {task for task in self.open if self._tasks[task].stage == "dubbing"}
        self._left, self._waiting = {}, {}
        for task in plan.tasks:
            if task.id in self.open:
                needs = [need for need in task.needs if need not in done]
                self._left[task.id] = len(needs)
                for need in needs:
                    self._waiting.setdefault(need, []).append(task.id)
        return [task for task in plan.tasks if self.may_begin(task.id)]

    def end(self, task: str) -> list[Task]:
        """A task is done; returns those that waited for it alone."""
        self.open.discard(task)
        self.unspoken.discard(task)
        freed = []
        for other in self._waiting.pop(task, ()):
            self._left[other] -= 1
            if not self._left[other]:
                freed.append(self._tasks[other])
        return freed

    def may_begin(self, task: str) -> bool:
        """Whether the task is in the plan, not done, and all that it needs is."""
        return task in self.open and not self._left[task]

    def place(self, task: str) -> int:
        """Where the task stands in the plan."""
        return self._places[task]

    def task(self, task: str) -> Task:
        """The task as the plan has it now."""
        return self._tasks[task]


class Demand:
    """How many tasks of each stage are open in all titles of a run, and which engines may still be asked for."""

    def __init__(self, titles: Iterable[str]) -> None:
        self._unknown = set(titles)
        self._open: dict[str, Counter[str]] = {}
        self._total: Counter[str] = Counter()

    def plan(self, title: str, plan: Plan, tasks: Readiness) -> bool:
        """A title's plan as it is now; whether it is its last."""
        self._total -= self._open.pop(title, Counter())
        mine = Counter(tasks.task(task).stage for task in tasks.open)
        if not plan.complete:
            named = {task.stage for task in plan.tasks}
            mine.update(name for name in LATE if name not in named)
        self._open[title] = mine
        self._total += mine
        if len(plan.tasks) > 1:
            self._unknown.discard(title)
        return plan.complete

    def end(self, title: str, stage_name: str) -> bool:
        """A task is done; whether it was the last of its stage."""
        if self._open.get(title, Counter())[stage_name] <= 0:
            return False
        self._open[title][stage_name] -= 1
        self._total[stage_name] -= 1
        return self._total[stage_name] == 0

    def drop(self, title: str) -> None:
        """A title has ended."""
        self._total -= self._open.pop(title, Counter())
        self._unknown.discard(title)

    def engines(self, settings: Settings, languages: Collection[str]) -> list[EngineUse] | None:
        """Engines of tasks that are open or may yet come; None while there is a title of which nothing is known."""
        if self._unknown:
            return None
        scopes = [Scope(), Scope(chunk=0), *(Scope(language, 0) for language in languages)]
        names = [name for name in stage_names() if self._total[name] > 0]
        return [use for name in names for scope in scopes for use in stage(name).engines(settings, scope).values()]
