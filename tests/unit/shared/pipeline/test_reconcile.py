"""What a plan changes in a ledger, whoever keeps it."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from shared.pipeline.planner import Plan, Ref, Task
from shared.pipeline.reconcile import Changes, LedgerEntry, reconcile
from shared.pipeline.stage import Scope


def task(name: str, *needs: str, seed: int = 0) -> Task:
    return Task(name, "stage", Scope(extra={"seed": seed} if seed else {}), {need: Ref(need, "out") for need in needs})


def compare(plan: list[Task], ledger: Mapping[str, tuple[Task, str]]) -> Changes:
    return reconcile(Plan(plan), {name: LedgerEntry(*entry) for name, entry in ledger.items()}, lambda one: one)


A, B, C = task("a"), task("b", "a"), task("c", "b")


def test_a_plan_that_is_entered_changes_nothing() -> None:
    assert compare([A, B], {"a": (A, "done"), "b": (B, "running")}) == Changes(frozenset(), (), ())


def test_what_hangs_on_a_change_is_done_again_and_nothing_else() -> None:
    other = task("other")
    entered = {name: (one, "done") for name, one in (("a", A), ("b", B), ("c", C), ("other", other))}
    assert compare([A, task("b", "a", seed=1), C, other], entered).redone == ("b", "c")


def test_what_is_new_is_entered_and_carries_a_change_on() -> None:
    between = task("between", "a")
    last = task("last", "between")  # It was entered before what it waits for could be named.
    changes = compare([task("a", seed=1), between, last], {"a": (A, "done"), "last": (last, "waiting")})
    assert changes == Changes(frozenset(), ("a", "last"), (between,))


def test_what_nobody_has_begun_is_dropped_when_it_is_not_named_and_what_runs_is_not() -> None:
    entered = {"a": (A, "done"), "b": (B, "running"), "c": (C, "waiting")}
    assert compare([A], entered).dropped == {"c"}


def test_what_was_given_up_is_done_after_all() -> None:
    entered = {"a": (A, "done"), "b": (B, "skipped"), "c": (C, "cancelled")}
    assert compare([A, B, C], entered).redone == ("b", "c")
    assert compare([A, B, C], entered | {"b": (B, "failed"), "c": (C, "done")}).redone == ()


@given(st.data())
def test_the_changes_are_those_of_going_round_until_nothing_follows(data: st.DataObject) -> None:
    names = [f"t{number}" for number in range(data.draw(st.integers(1, 12)))]
    plan, entered = [], {}
    for number, name in enumerate(names):
        needs = data.draw(st.sets(st.sampled_from(names[:number]))) if number else set()
        plan.append(task(name, *sorted(needs), seed=data.draw(st.integers(0, 1))))
        if data.draw(st.booleans()):
            entered[name] = (task(name, *sorted(needs)), "done")
    reached = {one.id for one in plan if one.id in entered and entered[one.id][0] != one}
    while more := {one.id for one in plan if one.id not in reached and reached & one.needs}:
        reached |= more
    assert set(compare(plan, entered).redone) == reached & entered.keys()
