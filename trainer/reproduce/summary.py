"""Results of a miniature: one JSON a column as other evaluations have it, one of the whole, and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.evaluation.results import records
from trainer.evaluation.results.records import RATIO, digest_of, metric
from trainer.evaluation.results.significance import DRAWS
from trainer.evaluation.results.table import Table, tabulate
from trainer.reproduce.claims import MAIN_MEASURE, difference, judged, value_of
from trainer.reproduce.comparison import Outcome
from trainer.reproduce.probes import METRICS, TRANSFER, chance
from trainer.reproduce.variants import MAIN

Columns = dict[str, dict[int, dict[str, Any]]]


def summarise(outcome: Outcome, folder: Path, draws: int = DRAWS) -> dict[str, Any]:
    """Write results, ``reproduce.json`` and ``reproduce.html`` into a folder; returns what the JSON holds.

    Args:
        outcome: What was measured.
        folder: Where to.
        draws: Of the bootstraps.

    Raises:
        StorageError: ``disk_full``, ``not_writable``.
    """
    from shared.core.storage_errors import storage_errors
    from trainer.reproduce.page import page

    groups: dict[str, Columns] = {
        group: {label: {fold: read_outcome(path) for fold, path in folds.items()} for label, folds in labels.items()}
        for group, labels in outcome.measured.items()
    }
    tables: dict[str, Table] = {}
    for group, columns in groups.items():
        written = [result_of(group, label, folds, outcome) for label, folds in columns.items()]
        paths = [records.write(one, folder / "results") for one in written]
        order = {name: at for at, name in enumerate(METRICS)}
        table = tabulate([records.read_result(path) for path in paths], "EN", every_metric=True, draws=draws)
        tables[group] = table._replace(rows=tuple(sorted(table.rows, key=lambda row: order.get(row.metric, 99))))
    summary = {
        "scale": outcome.scale._asdict(),
        "seeds": [outcome.scale.seed + fold for fold in outcome.scale.folds],
        "main_measure": dict(zip(("metric", "one", "other"), MAIN_MEASURE, strict=True)),
        "metrics": METRICS,
        "transfer": TRANSFER,
        "chance": {name: chance(name, outcome.scale) for name in METRICS},
        "values": {group: values(columns) for group, columns in groups.items()},
        "claims": judged(groups[MAIN], draws),
        "sweeps": [
            sweep for group, columns in groups.items() if group != MAIN for sweep in swept(group, columns, draws)
        ],
        "seconds": outcome.seconds,
        "expected_s": outcome.expected_s,
    }
    with storage_errors("the miniature's results"):
        text = json.dumps(summary, ensure_ascii=False, indent=1)
        (folder / "reproduce.json").write_text(text + "\n", encoding="utf-8")
        (folder / "reproduce.html").write_text(page(summary, tables), encoding="utf-8")
    return summary


def read_outcome(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def result_of(group: str, label: str, folds: Mapping[int, Mapping[str, Any]], outcome: Outcome) -> dict[str, Any]:
    """One column over all folds, as :mod:`trainer.evaluation.results.records` keeps it."""
    names = [name for name in METRICS if all(name in one["statistics"] for one in folds.values())]
    shortcuts = sorted({name for one in folds.values() for name in one["shortcuts"]})
    files = outcome.measured[group][label].values()
    stored = {}
    for name in names:
        parts = [one["statistics"][name] for one in folds.values()]
        stored[name] = {
            "kind": RATIO,
            "sources": [source for part in parts for source in part["sources"]],
            "counts": [count for part in parts for count in part["counts"]],
        }
    return {
        "evaluation": "miniature",
        "name": group,
        "label": label,
        "checkpoint": {"id": digest_of([(group, label), *((path.parent.name, path.name) for path in files)])},
        "data": {"hash": outcome.data[group]},
        "settings": outcome.scale._asdict() | {"folds": list(folds)},
        "seeds": {str(fold): outcome.scale.seed + fold for fold in folds},
        "metrics": {name: metric(name, [value_of(one, name) for one in folds.values()]) for name in names}
        | {
            f"shortcut/{name}": metric("shortcut", [one["shortcuts"][name] for one in folds.values()])
            for name in shortcuts
        },
        "primary": "scene",
        "statistics": stored,
    }


def values(columns: Columns) -> dict[str, dict[str, Any]]:
    """Label → metric → value on each fold."""
    return {
        label: {
            name: {str(fold): round(value_of(one, name), 5) for fold, one in folds.items() if name in one["statistics"]}
            for name in METRICS
        }
        | {"shortcut": {str(fold): one["shortcuts"] for fold, one in folds.items()}}
        for label, folds in columns.items()
    }


def swept(group: str, columns: Columns, draws: int) -> list[dict[str, Any]]:
    """EFJ − EN of each metric in one of the sweeps."""
    if not {"EFJ", "EN"} <= set(columns):
        return []
    differences = ((name, difference(columns["EFJ"], columns["EN"], name, draws)) for name in METRICS)
    return [
        {
            "sweep": group,
            "metric": name,
            "difference": one.value,
            "sd": one.sd,
            "interval": one.interval,
            "folds": one.folds,
        }
        for name, one in differences
        if one is not None
    ]
