"""Results that last: one JSON an evaluation, with all that is needed to compare it later.

Layout (schema 1): ``evaluation`` (hear, probe, invariance), ``name`` of the task, ``label`` and ``checkpoint`` of what
was evaluated, ``data`` (hash of every clip and label), ``settings``, ``seeds``, ``metrics`` (value, spread over folds,
direction), ``primary`` metric, ``statistics`` (counts by source recording, to bootstrap over), ``versions``, ``cost``.
Metrics that need every prediction (mAP, AUC, d′) point to an ``.npz`` beside the JSON instead of counts.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from shared.core.errors import InputError, StorageError

SCHEMA = 1
LOWER_IS_BETTER = frozenset({"segment_1s_er", "own_rank", "shortcut", "error"})
"""By the part of a metric's name before the first ``/``."""
RATIO, F_MEASURE, ERROR_RATE, RANKED = "ratio", "f_measure", "error_rate", "ranked"
"""How a metric follows from counts: c0 / c1; 2 c0 / (c1 + c2); (c0 + c1 + c2) / c3; from all predictions."""


def by_source(sources: Sequence[str], counts: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Counts of items ``[items, n]`` summed by source: names in order and ``[sources, n]``."""
    names, place = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    summed = np.zeros((len(names), counts.shape[1]))
    np.add.at(summed, place, counts)
    return [str(name) for name in names], summed


def statistics(kind: str, sources: Sequence[str], counts: np.ndarray) -> dict[str, Any]:
    """What a result keeps of a metric, to bootstrap over sources; whole counts are written as integers."""
    names, summed = by_source(sources, counts)
    whole = np.all(summed == np.rint(summed))
    return {"kind": kind, "sources": names, "counts": (summed.astype(int) if whole else summed.round(6)).tolist()}


def metric(name: str, folds: Iterable[float]) -> dict[str, Any]:
    """A metric from its values on folds: mean, sample standard deviation (None of one fold), direction."""
    values = [float(value) for value in folds]
    finite = [value for value in values if math.isfinite(value)]
    return {
        "value": float(np.mean(finite)) if len(finite) == len(values) and values else None,
        "sd": float(np.std(finite, ddof=1)) if len(finite) == len(values) > 1 else None,
        "folds": [value if math.isfinite(value) else None for value in values],
        "higher_is_better": name.partition("/")[0] not in LOWER_IS_BETTER,
    }


def versions() -> dict[str, str]:
    """Of what computed the result."""
    return {
        "counterdub": version("counterdub"),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "scipy", "soundfile", "soxr")},
    }


def digest_of(rows: Iterable[Sequence[Any]]) -> str:
    """sha256 of rows, whatever their order."""
    hashed = hashlib.sha256()
    for line in sorted(json.dumps(list(row), sort_keys=True, ensure_ascii=False) for row in rows):
        hashed.update(line.encode() + b"\n")
    return hashed.hexdigest()


def file_name(result: Mapping[str, Any]) -> str:
    """Where a result is kept: the same checkpoint, task, data and settings overwrite themselves, nothing else."""
    settings = json.dumps([result["settings"], result["seeds"], result["data"]["hash"]], sort_keys=True)
    key = hashlib.sha256(f"{result['checkpoint']['id']} {settings}".encode()).hexdigest()[:10]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{result['evaluation']}-{result['name']}-{result['label']}")
    return f"{readable[:100]}-{key}.json"


def write(result: dict[str, Any], folder: Path, predictions: Mapping[str, np.ndarray] | None = None) -> Path:
    """Write a result, and predictions beside it, whole or not at all.

    Raises:
        StorageError: ``disk_full``, ``not_writable``.
    """
    result = {
        "schema": SCHEMA,
        **result,
        "versions": versions(),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    path = folder / file_name(result)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if predictions:
            side = path.with_suffix(".npz")
            part = side.with_suffix(f".{os.getpid()}.npz")
            np.savez_compressed(part, **predictions)  # type: ignore[arg-type]  # none is named like an argument
            part.replace(side)
            result["predictions"] = side.name
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        code = "disk_full" if error.errno == 28 else "not_writable"
        raise StorageError(f"The result cannot be written: {error.strerror}.", code=code) from error
    return path


def read_result(path: Path) -> dict[str, Any]:
    """A result as :func:`write` left it.

    Raises:
        InputError: ``not_a_result``.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if result["schema"] > SCHEMA:
            raise InputError(f"“{path.name}” was written by a newer version.", code="not_a_result")
        for key in ("evaluation", "name", "label", "checkpoint", "data", "metrics", "primary"):
            result[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"“{path.name}” is no result of an evaluation.", code="not_a_result") from error
    result["path"] = path
    return dict(result)


def read_all(places: Iterable[Path]) -> list[dict[str, Any]]:
    """Results from files and folders (looked through to any depth).

    Raises:
        InputError: ``not_a_result``; ``no_results`` where there are none.
    """
    files: list[Path] = []
    for place in places:
        files += sorted(place.rglob("*.json")) if place.is_dir() else [place]
    results = [read_result(file) for file in files]
    if not results:
        raise InputError("There are no results of evaluations here.", code="no_results")
    return results
