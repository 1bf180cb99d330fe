"""Which tasks of a plan may begin, kept up as tasks end: an end costs what waited for it, not the whole plan."""

from __future__ import annotations

from collections.abc import Collection

from shared.pipeline.planner import Plan, Task


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
