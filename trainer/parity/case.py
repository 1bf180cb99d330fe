"""A case of a parity folder: what was compared, and how far ours is off."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.core.errors import InputError


class ParityCheck(NamedTuple):
    """One comparison; it holds if ``difference`` is at most ``tolerance``. NaN never is."""

    part: str
    difference: float
    tolerance: float
    exact: bool = False
    """Whether ``difference`` counts mismatches, instead of being the largest absolute difference."""

    @property
    def ok(self) -> bool:
        return self.difference <= self.tolerance


@dataclass
class Case:
    """Everything that one pair of files of the folder states."""

    name: str
    checks: list[ParityCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no failure, but worth knowing."""

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def worst(self) -> ParityCheck:
        """The check that is furthest out of its tolerance, or nearest to it."""
        return max(self.checks, key=lambda check: (not check.ok, share(check)))

    def compare(self, part: str, ours: Any, theirs: Any, tolerance: float) -> None:
        """Note the largest absolute difference of two arrays; another shape is infinitely far off."""
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        difference = float(np.abs(ours - theirs).max(initial=0)) if ours.shape == theirs.shape else np.inf
        self.checks.append(ParityCheck(part, difference, tolerance))

    def count(self, part: str, mismatches: int) -> None:
        """Note how many values of those that must be the same are not."""
        self.checks.append(ParityCheck(part, mismatches, 0, exact=True))

    def to_dict(self) -> dict[str, Any]:
        checks = [{**check._asdict(), "ok": check.ok} for check in self.checks]
        return {"case": self.name, "ok": self.ok, "checks": checks, "notes": self.notes}


class Stated(dict[str, Any]):
    """An object of a case's JSON, or its arrays; what it lacks is the folder's fault."""

    def __missing__(self, key: str) -> Any:
        raise InputError(f"A parity case lacks “{key}”.", code="bad_parity", key=key)


def share(check: ParityCheck) -> float:
    return check.difference / check.tolerance if check.tolerance else check.difference


def read_case(path: Path) -> tuple[Stated, Stated]:
    """A case's JSON, and the arrays of the ``.npz`` beside it, if there is one.

    Raises:
        InputError: ``bad_parity``: one of both cannot be read.
    """
    try:
        stated = json.loads(path.read_text(encoding="utf-8"), object_hook=Stated)
        arrays = path.with_suffix(".npz")
        stored_arrays = Stated(np.load(arrays, allow_pickle=False)) if arrays.is_file() else Stated()
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"The parity case “{path.stem}” cannot be read: {error}.", code="bad_parity") from error
    if not isinstance(stated, Stated):
        raise InputError(f"The parity case “{path.stem}” is no JSON object.", code="bad_parity")
    return stated, stored_arrays
