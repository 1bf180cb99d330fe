"""Reconcile a title's plan with its ledger: which tasks are dropped, which are done again, which are new.

Both executors decide by this and by nothing else: the same plans and faults give the same work on a laptop and on a
cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.pipeline.planner import Plan, Task

T = TypeVar("T")

OPEN = frozenset({"waiting", "ready", "resting"})
"""States of tasks that nobody has begun."""
UNDONE = frozenset({"skipped", "cancelled"})
"""States of tasks that were given up and are done after all when the plan names them again."""


@dataclass(frozen=True)
class LedgerEntry(Generic[T]):
    """A task in the ledger.

    Attributes:
        request: The scope and inputs it was entered with; compared with those of the plan.
        state: waiting, ready, resting, running, done, failed, skipped or cancelled.
    """

    request: T
    state: str


@dataclass(frozen=True)
class Changes:
    """What a plan asks otherwise than the ledger has it.

    Attributes:
        dropped: Tasks that nobody has begun and that the plan names no more: the rest of a failed language.
        redone: Its tasks that are asked with other inputs now, and all that hang on them, in the plan's order.
        new: Tasks that the ledger does not have, in the plan's order.
    """

    dropped: frozenset[str]
    redone: tuple[str, ...]
    new: tuple[Task, ...]


def reconcile(plan: Plan, ledger: Mapping[str, LedgerEntry[T]], request_of: Callable[[Task], T]) -> Changes:
    """Compare a plan with a ledger, task by task.

    Args:
        ledger: Task → its entry.
        request_of: What the plan asks of a task, in the form in which the ledger has it.
    """
    named = {task.id for task in plan.tasks}
    reached: set[str] = set()
    new = []
    # The planner names tasks after those they need, so that one pass finds all that hang on a change.
    for task in plan.tasks:
        entry = ledger.get(task.id)
        changed = entry is not None and (entry.state in UNDONE or entry.request != request_of(task))
        if changed or not reached.isdisjoint(task.needs):
            reached.add(task.id)
        if entry is None:
            new.append(task)
    redone = tuple(task.id for task in plan.tasks if task.id in reached and task.id in ledger)
    dropped = frozenset(task for task, entry in ledger.items() if task not in named and entry.state in OPEN)
    return Changes(dropped, redone, tuple(new))
