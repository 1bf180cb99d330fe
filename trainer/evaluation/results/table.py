"""Comparison of results: one row a task, one column a checkpoint, differences with intervals, published figures."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from trainer.evaluation.results.significance import DRAWS, Comparison, compare, mean_of, measured


class TableCell(NamedTuple):
    """A checkpoint on a task: mean over runs, spread over runs (or folds, of one run), number of runs, its interval."""

    value: float | None
    sd: float | None
    runs: int
    against: Comparison | None
    p_holm: float | None


class TableRow(NamedTuple):
    """A task and metric; ``cells`` by label, ``published`` by table and model."""

    task: str
    title: str
    metric: str
    higher_is_better: bool
    data: str
    cells: dict[str, TableCell]
    published: dict[str, tuple[float, float | None]]


class Table(NamedTuple):
    labels: tuple[str, ...]
    reference: str
    rows: tuple[TableRow, ...]


def catalogue() -> dict[str, dict[str, Any]]:
    """The tasks of Tables B.1–B.4 by name."""
    return toml("catalogue.toml")


def published() -> dict[str, dict[str, Any]]:
    """Tables B.1–B.4: ``title`` and ``models`` (model → task → value, or value and standard deviation)."""
    return dict(toml("published.toml")["tables"])


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("trainer.evaluation") / name).read_text(encoding="utf-8"))


def task_of(name: str) -> str:
    """The catalogue's key of a result's task, or the name itself."""
    plain = name.split("/", maxsplit=1)[0]
    return next((key for key, entry in catalogue().items() if plain in entry["names"]), name)


def published_of(task: str) -> dict[str, tuple[float, float | None]]:
    """Figures of a task: “B.3 EN” → value and standard deviation."""
    figures_by_model = {}
    for number, table in published().items():
        for model, figures in table["models"].items():
            if task in figures:
                figure = figures[task]
                value, sd = figure if isinstance(figure, list) else (figure, None)
                figures_by_model[f"{number} {model}"] = (value, sd)
    return figures_by_model


def tabulate(
    results: Iterable[Mapping[str, Any]], reference: str = "", every_metric: bool = False, draws: int = DRAWS
) -> Table:
    """Put results side by side.

    Args:
        results: As :func:`trainer.evaluation.results.records.read_all` reads them. Runs of one label on the same data
            (seeds) are averaged.
        reference: Label that the others are compared with; by default EN where there is one, else the first.
        every_metric: All metrics of a task, not its primary one alone.
        draws: Of the bootstrap.

    Returns:
        Rows in the catalogue's order, others after them by name. The p-values are also given corrected for all
        comparisons of the table (Holm 1979).
    """
    groups: dict[tuple[str, str, str, str], dict[str, list[Mapping[str, Any]]]] = {}
    labels: list[str] = []
    for result in results:
        if result["label"] not in labels:
            labels.append(result["label"])
        for score in result["metrics"] if every_metric else [result["primary"]]:
            key = (result["evaluation"], result["name"], score, result["data"]["hash"])
            groups.setdefault(key, {}).setdefault(result["label"], []).append(result)
    if reference not in labels:
        reference = "EN" if "EN" in labels else labels[0] if labels else ""
    known = catalogue()
    rows = []
    for (evaluation, name, score, data), by_label in groups.items():
        task = task_of(name) if evaluation != "invariance" else name
        first = next(iter(by_label.values()))[0]
        entry = known.get(task, {})
        rows.append(
            TableRow(
                task=task,
                title=entry.get("title", name),
                metric=score,
                higher_is_better=first["metrics"][score]["higher_is_better"],
                data=data,
                cells=cells(by_label, score, reference, draws),
                published=published_of(task) if entry.get("metric") == score else {},
            )
        )
    order = list(known)
    rows.sort(key=lambda row: (order.index(row.task) if row.task in order else len(order), row.title))
    return Table(tuple(labels), reference, tuple(corrected(rows)))


def cells(
    by_label: Mapping[str, Sequence[Mapping[str, Any]]], score: str, reference: str, draws: int
) -> dict[str, TableCell]:
    functions = {}
    for label, runs in by_label.items():
        own = [measured(run, score) for run in runs]
        same = [one for one in own if one is not None]
        if len(same) == len(runs) and all(one.sources == same[0].sources for one in same):
            functions[label] = mean_of(same)
    by_column = {}
    for label, runs in by_label.items():
        values = [run["metrics"][score]["value"] for run in runs]
        whole = all(value is not None for value in values)
        against = None
        if label != reference and label in functions and reference in functions:
            against = compare(functions[label], functions[reference], draws)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 and whole else runs[0]["metrics"][score]["sd"]
        by_column[label] = TableCell(float(np.mean(values)) if whole else None, spread, len(runs), against, None)
    return by_column


def corrected(rows: Sequence[TableRow]) -> list[TableRow]:
    """Rows with Holm's p of every comparison of the table."""
    places = [(n, label) for n, row in enumerate(rows) for label, cell in row.cells.items() if cell.against is not None]
    raw = [comparison.p for n, label in places if (comparison := rows[n].cells[label].against) is not None]
    adjusted, largest = np.ones(len(raw)), 0.0
    for rank, index in enumerate(np.argsort(raw)):
        largest = max(largest, min(1.0, raw[index] * (len(raw) - rank)))
        adjusted[index] = largest
    adjusted_rows = [row._replace(cells=dict(row.cells)) for row in rows]
    for (n, label), p in zip(places, adjusted, strict=True):
        adjusted_rows[n].cells[label] = adjusted_rows[n].cells[label]._replace(p_holm=float(p))
    return adjusted_rows


def to_dict(table: Table) -> dict[str, Any]:
    """The table as JSON takes it."""
    return {
        "reference": table.reference,
        "labels": list(table.labels),
        "rows": [
            {
                "task": row.task,
                "title": row.title,
                "metric": row.metric,
                "higher_is_better": row.higher_is_better,
                "data": row.data,
                "results": {
                    label: {
                        "value": cell.value,
                        "sd": cell.sd,
                        "runs": cell.runs,
                        "against": cell.against._asdict() if cell.against else None,
                        "p_holm": cell.p_holm,
                    }
                    for label, cell in row.cells.items()
                },
                "published": {name: {"value": value, "sd": sd} for name, (value, sd) in row.published.items()},
            }
            for row in table.rows
        ],
    }
