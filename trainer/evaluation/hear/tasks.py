"""HEAR's tasks as they lie on disk (hear2021-preprocess' layout).

A folder holds ``task_metadata.json``, ``labelvocabulary.csv`` (label, idx), one ``<split>.json`` a split or fold
(file → labels, or events in milliseconds) and ``<sample rate>/<split>/<file>``. Ours may add ``sources.json`` (file →
recording it was cut from), by which folds are checked and results bootstrapped; without it a file is its own source.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

from shared.core.errors import InputError
from trainer.evaluation.hear.events import COLLARS, SEGMENT_ERROR_RATE
from trainer.evaluation.scores import SCENE_SCORES

SOURCES = "sources.json"


class HearClip(NamedTuple):
    """One sound of a task: where it lies below the task's rate folder and what holds of it.

    ``labels`` are names for scene tasks, HEAR's rows (label, start, end in milliseconds) for event tasks.
    """

    split: str
    name: str
    labels: list[Any]
    source: str


class Fold(NamedTuple):
    """Splits to train on, to stop by and to test on."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


class HearTask(NamedTuple):
    """A HEAR task; ``labels`` maps a label to its column, ``clips`` are in the order of the files."""

    name: str
    version: str
    folder: Path
    events: bool
    multilabel: bool
    scores: tuple[str, ...]
    labels: dict[str, int]
    splits: tuple[str, ...]
    folds: tuple[Fold, ...]
    clips: tuple[HearClip, ...]
    grid: dict[str, list[Any]]
    postprocessing: dict[str, list[float]]
    stop_by_score: bool

    def rate_folder(self, sample_rate: int) -> Path:
        """The folder of sounds at ``sample_rate``, or that of the highest rate there is.

        Raises:
            InputError: ``bad_task`` if there is none.
        """
        exact = self.folder / str(sample_rate)
        if exact.is_dir():
            return exact
        rates = sorted(int(path.name) for path in self.folder.iterdir() if path.is_dir() and path.name.isdecimal())
        if not rates:
            raise InputError(f"The task “{self.folder.name}” has no folder of sounds such as 48000.", code="bad_task")
        return self.folder / str(rates[-1])


def folds_of(mode: str, splits: tuple[str, ...]) -> tuple[Fold, ...]:
    """HEAR's folds: each tested once, the next one stops, the others train.

    Raises:
        ValueError: no such mode, or too few splits for it.
    """
    if mode == "trainvaltest":
        if not {"train", "valid", "test"} <= set(splits):
            raise ValueError("splits must be train, valid and test")
        return (Fold(("train",), ("valid",), ("test",)),)
    if mode not in {"new_split_kfold", "presplit_kfold"}:
        raise ValueError(f"split_mode “{mode}” is unknown")
    if len(splits) < 3:
        raise ValueError("three folds at least are needed")
    ordered = sorted(splits)
    folds = []
    for index, test in enumerate(ordered):
        valid = ordered[(index + 1) % len(ordered)]
        folds.append(Fold(tuple(name for name in ordered if name not in {test, valid}), (valid,), (test,)))
    return tuple(folds)


def read_task(folder: Path) -> HearTask:
    """A task of HEAR's layout, checked.

    Raises:
        InputError: ``not_a_task`` (no metadata), ``bad_task`` (says what is wrong), ``leaking_folds`` (a source
            recording on both sides of a fold).
    """
    metadata = read_task_json(folder, "task_metadata.json", code="not_a_task")
    try:
        labels = read_labels(folder / "labelvocabulary.csv")
        splits = tuple(str(split) for split in metadata["splits"])
        known = read_task_json(folder, SOURCES) if (folder / SOURCES).is_file() else {}
        clips = []
        for split in splits:
            if Path(split).name != split:
                raise ValueError(f"“{split}” is no name of a split")
            for name, of in read_task_json(folder, f"{split}.json").items():
                if Path(name).name != name:
                    raise ValueError(f"“{name}” is no name of a file")
                clips.append(HearClip(split, name, of, known.get(name, name)))
        task = HearTask(
            name=named(metadata),
            version=str(metadata.get("version", "")),
            folder=folder,
            events=metadata["embedding_type"] == "event",
            multilabel=metadata["prediction_type"] == "multilabel",
            scores=tuple(metadata["evaluation"]),
            labels=labels,
            splits=splits,
            folds=folds_of(metadata["split_mode"], splits),
            clips=tuple(clips),
            grid=metadata.get("evaluation_params", {}).get("task_specific_param_grid", {}),
            postprocessing=metadata.get("evaluation_params", {}).get("event_postprocessing_grid", {}),
            stop_by_score=bool(metadata.get("use_scoring_for_early_stopping", True)),
        )
        check_scores(task)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"The task “{folder.name}” is not as HEAR lays tasks out: {reason}.", code="bad_task"
        ) from error
    leaked = leaks(task)
    if leaked:
        raise InputError(
            f"In the task “{folder.name}” {len(leaked)} source recordings are on both sides of a fold, the first being "
            f"“{leaked[0]}”. Lay the task out again with whole recordings in one fold.",
            code="leaking_folds",
            sources=leaked[:20],
        )
    return task


def named(metadata: dict[str, Any]) -> str:
    """HEAR's name of a task, with its mode where it is a part of the data: ``speech_commands-5h``."""
    name, mode = str(metadata["task_name"]), metadata.get("mode", "full")
    return name if mode == "full" else f"{name}-{mode}"


def check_scores(task: HearTask) -> None:
    known = {*COLLARS, SEGMENT_ERROR_RATE} if task.events else set(SCENE_SCORES)
    if not task.scores or not set(task.scores) <= known:
        raise ValueError(f"its scores are {', '.join(task.scores) or 'none'}, known are {', '.join(sorted(known))}")
    if task.events and not task.multilabel:
        raise ValueError("events are multilabel")
    if not task.clips:
        raise ValueError("it has no clips")
    for clip in task.clips:
        names = [row["label"] for row in clip.labels] if task.events else clip.labels
        if not task.multilabel and len(names) != 1:
            raise ValueError(f"“{clip.name}” has {len(names)} labels where one is wanted")
        for name in names:
            if str(name) not in task.labels:
                raise ValueError(f"the label “{name}” is not in labelvocabulary.csv")


def leaks(task: HearTask) -> list[str]:
    """Source recordings with clips in more than one split."""
    at: dict[str, set[str]] = {}
    for clip in task.clips:
        at.setdefault(clip.source, set()).add(clip.split)
    return sorted(source for source, splits in at.items() if len(splits) > 1)


def read_labels(path: Path) -> dict[str, int]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            labels = {row["label"]: int(row["idx"]) for row in csv.DictReader(file)}
    except OSError as error:
        raise ValueError(f"labelvocabulary.csv: {error.strerror}") from error
    if sorted(labels.values()) != list(range(len(labels))) or not labels:
        raise ValueError("labelvocabulary.csv does not count its labels from 0")
    return labels


def read_task_json(folder: Path, name: str, code: str = "bad_task") -> dict[str, Any]:
    try:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"“{folder.name}” is no task: {name}: {error.strerror}.", code=code) from error
    except ValueError as error:
        raise InputError(f"“{name}” of “{folder.name}” is not JSON: {error}.", code="bad_task") from error
    if not isinstance(data, dict):
        raise InputError(f"“{name}” of “{folder.name}” is no JSON object.", code="bad_task")
    return data
