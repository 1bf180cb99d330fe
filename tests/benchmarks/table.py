"""Figures side by side, with the limit that ours must hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any, Literal

Figure = float | None


@dataclass(frozen=True)
class Row:
    """One measure of human dubs, of ours of the same films, of ours of the sample, and of all of ours together."""

    name: str
    human: Figure
    films: Figure
    sample: Figure
    ours: Figure
    limit: float | None = None
    better: Literal["above", "below"] = "above"
    judged: Literal["films", "ours"] = "ours"
    """Which figure the limit is for."""
    digits: int = 2

    @property
    def holds(self) -> bool | None:
        """None when there is no limit."""
        if self.limit is None:
            return None
        value = self.value
        if value is None:
            return False
        return value >= self.limit if self.better == "above" else value <= self.limit

    @property
    def value(self) -> Figure:
        """The figure that is judged."""
        return self.films if self.judged == "films" else self.ours

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}


def middle(values: Iterable[Figure]) -> Figure:
    """Median of what is there."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def mean(values: Iterable[Figure]) -> Figure:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def size(values: Iterable[Figure]) -> list[float]:
    return [abs(value) for value in values if value is not None]


def printed(rows: Sequence[Row]) -> str:
    """The table as text."""

    def cell(value: Figure, digits: int) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    lines = [f"{'':44}{'human':>9}{'films':>9}{'sample':>9}{'ours':>9}   must hold"]
    for row in rows:
        figures = "".join(f"{cell(value, row.digits):>9}" for value in (row.human, row.films, row.sample, row.ours))
        limit = "" if row.limit is None else f"{'≥' if row.better == 'above' else '≤'} {row.limit:g}"
        verdict = {True: "holds", False: "FAILS", None: ""}[row.holds]
        lines.append(
            f"{row.name:44}{figures}   {limit:9}{verdict:6} {'' if row.limit is None else row.judged}".rstrip()
        )
    return "\n".join(lines)
