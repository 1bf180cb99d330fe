"""HEAR's protocol over one task: embed, choose a point of the grid on the first fold, train and test on every fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.embedding import HOP_MS, AudioEncoder, Embedded, embed_files
from trainer.evaluation.hear.events import (
    SEGMENT_ERROR_RATE,
    SoundEvent,
    counts_of,
    event_score,
    events_from,
    labels_at,
    read_events,
)
from trainer.evaluation.hear.predictor import Fitted, GridPoint, Scorer, fit, points, predict
from trainer.evaluation.hear.tasks import Fold, HearClip, HearTask
from trainer.evaluation.results import records
from trainer.evaluation.results.records import digest_of, metric, statistics
from trainer.evaluation.scores import SCENE_SCORES
from trainer.evaluation.subject import Subject

POSTPROCESSING: dict[str, list[float]] = {"median_filter_ms": [250.0], "min_duration": [125.0, 250.0]}
"""HEAR's, for event tasks; a task may bring its own."""
SPECIAL: dict[str, dict[str, list[Any]]] = {"dcase2016_task2": {"check_val_every_n_epoch": [10]}}
"""HEAR's exceptions to its grid."""

Listener = Callable[[str, int, int], None]
"""``listener(what, done, of)``: embed (clips), grid (points), folds."""


class Data(NamedTuple):
    """Clips of some splits, their embeddings in rows, targets, and which rows each clip has."""

    clips: list[HearClip]
    inputs: np.ndarray
    targets: np.ndarray
    rows: list[slice]
    timestamps: list[np.ndarray]


def evaluate(
    task: HearTask,
    subject: Subject[AudioEncoder],
    *,
    grid: str = "default",
    grid_points: int = 8,
    listener: Listener = lambda what, done, of: None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Run a task on an encoder.

    Args:
        task: From :func:`trainer.evaluation.hear.tasks.read_task`.
        subject: Who is evaluated.
        grid: default, fast or faster.
        grid_points: Points tried on the first fold; HEAR's default is 8.
        listener: Told how far it is.

    Returns:
        A result for :func:`trainer.evaluation.results.records.write`, and the predictions it needs beside it.
    """
    started = time.perf_counter()
    encoder, seed = subject.encoder, subject.seed
    embedded = embed(task, encoder, subject.cache, listener)
    embedding_seconds = time.perf_counter() - started
    special = SPECIAL.get(task.name, {}) | task.grid
    tried: list[tuple[float, GridPoint]] = []
    chosen = points(grid, grid_points, seed, special)
    first, kept = task.folds[0], []
    for index, point in enumerate(chosen):
        fitted = train(task, embedded, first, point, seed, subject.device)
        tried.append((fitted.score, point))
        kept.append(fitted)
        listener("grid", index + 1, len(chosen))
    best = int(np.argmax([score for score, _ in tried]))
    fits = [kept[best]]
    for index, fold in enumerate(task.folds[1:]):
        fits.append(train(task, embedded, fold, chosen[best], seed + index + 1, subject.device))
        listener("folds", index + 2, len(task.folds))
    outcome = test_events(task, embedded, fits) if task.events else test_scenes(task, embedded, fits)
    metrics, kept_statistics, predictions = outcome
    duplicates = len(embedded.digests) - len(set(embedded.digests))
    result = {
        "evaluation": "hear",
        "name": task.name,
        "label": subject.label,
        "checkpoint": {"id": encoder.id, "recipe": getattr(getattr(encoder, "recipe", None), "name", None)},
        "data": {
            "hash": digest_of(
                (clip.split, clip.source, digest, clip.labels)
                for clip, digest in zip(task.clips, embedded.digests, strict=True)
            ),
            "version": task.version,
            "clips": len(task.clips),
            "sources": len({clip.source for clip in task.clips}),
            "repeated_clips": duplicates,
        },
        "settings": {
            "grid": grid,
            "grid_points": len(chosen),
            "point": chosen[best]._asdict(),
            "folds": len(task.folds),
            "sample_rate": int(task.rate_folder(encoder.sample_rate).name),
            **({"hop_ms": HOP_MS, "postprocessing": [fitted.chosen for fitted in fits]} if task.events else {}),
        },
        "seeds": {"predictor": seed},
        "metrics": metrics,
        "primary": task.scores[0],
        "statistics": kept_statistics,
        "validation": [{"score": score, "point": point._asdict()} for score, point in tried],
        "epochs": [fitted.epoch for fitted in fits],
        "cost": {
            "embedded": embedded.computed,
            "found": len(task.clips) - embedded.computed,
            "embedding_seconds": round(embedding_seconds, 3),
            "clips_per_s": round(embedded.computed / embedding_seconds, 2) if embedded.computed else None,
            "seconds": round(time.perf_counter() - started, 3),
        },
    }
    return result, predictions


def embed(task: HearTask, encoder: AudioEncoder, cache: EmbeddingCache, listener: Listener) -> Embedded:
    """Embeddings of all clips of a task, in their order."""
    folder = task.rate_folder(encoder.sample_rate)
    done = 0

    def progress(clips: int) -> None:
        nonlocal done
        done += clips
        listener("embed", done, len(task.clips))

    files = [folder / clip.split / clip.name for clip in task.clips]
    return embed_files(encoder, files, cache, events=task.events, progress=progress)


def gather(task: HearTask, embedded: Embedded, splits: Sequence[str]) -> Data:
    """The clips of some splits, joined."""
    clips, inputs, targets, rows, timestamps = [], [], [], [], []
    at = 0
    for index, clip in enumerate(task.clips):
        if clip.split not in splits:
            continue
        own = np.atleast_2d(embedded.rows[index]).astype(np.float32)
        if task.events:
            timestamps.append(embedded.timestamps[index])
            targets.append(labels_at(timestamps[-1], read_events(clip.labels, task.labels), len(task.labels)))
        else:
            target = np.zeros((1, len(task.labels)), dtype=np.uint8)
            target[0, [task.labels[str(name)] for name in clip.labels]] = 1
            targets.append(target)
        clips.append(clip)
        inputs.append(own)
        rows.append(slice(at, at + len(own)))
        at += len(own)
    return Data(clips, np.concatenate(inputs), np.concatenate(targets), rows, timestamps)


def train(task: HearTask, embedded: Embedded, fold: Fold, point: GridPoint, seed: int, device: str) -> Fitted:
    """One predictor on one fold, stopped by the task's first score."""
    valid = gather(task, embedded, fold.valid)
    data = gather(task, embedded, fold.train)
    scorer: Scorer | None = None
    if task.stop_by_score:
        scorer = event_scorer(task, valid) if task.events else scene_scorer(task, valid)
    fitted = fit(
        (data.inputs, data.targets),
        (valid.inputs, valid.targets),
        point,
        scorer,
        multilabel=task.multilabel,
        seed=seed,
        device=device,
    )
    if task.events and fitted.chosen is None:
        return fitted._replace(chosen=postprocessings(task)[0])
    return fitted


def scene_scorer(task: HearTask, valid: Data) -> Scorer:
    score = SCENE_SCORES[task.scores[0]]
    return lambda predictions: (score(predictions, valid.targets, None), None)


def event_scorer(task: HearTask, valid: Data) -> Scorer:
    """The best of the ways of making events from predictions, and how good it is."""

    def scorer(predictions: np.ndarray) -> tuple[float, Any]:
        tried = []
        for postprocessing in postprocessings(task):
            counts = event_counts(task, valid, predictions, postprocessing, task.scores[0]).sum(axis=0)
            value = np.nan_to_num(event_score(task.scores[0], counts))
            tried.append((-value if task.scores[0] == SEGMENT_ERROR_RATE else value, postprocessing))
        return max(tried, key=lambda one: one[0])

    return scorer


def postprocessings(task: HearTask) -> list[dict[str, float]]:
    ways = {**POSTPROCESSING, **task.postprocessing}
    return [
        {"median_filter_ms": float(width), "min_duration": float(shortest)}
        for width in ways["median_filter_ms"]
        for shortest in ways["min_duration"]
    ]


def event_counts(
    task: HearTask, data: Data, predictions: np.ndarray, postprocessing: Mapping[str, float], score: str
) -> np.ndarray:
    """Counts of each clip, ``[clips, n]``."""
    rows = []
    for clip, own, timestamps in zip(data.clips, data.rows, data.timestamps, strict=True):
        estimated: list[SoundEvent] = events_from(predictions[own], timestamps, **postprocessing)
        rows.append(counts_of(score, read_events(clip.labels, task.labels), estimated, len(task.labels)))
    return np.array(rows)


Outcome = tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]


def test_scenes(task: HearTask, embedded: Embedded, fits: Sequence[Fitted]) -> Outcome:
    """Scores of every test fold; predictions of all of them together."""
    outputs, truth, sources = [], [], []
    folds: dict[str, list[float]] = {score: [] for score in task.scores}
    for fold, fitted in zip(task.folds, fits, strict=True):
        data = gather(task, embedded, fold.test)
        predictions = predict(fitted, data.inputs)
        for score in task.scores:
            folds[score].append(SCENE_SCORES[score](predictions, data.targets, None))
        outputs.append(predictions)
        truth.append(data.targets)
        sources += [clip.source for clip in data.clips]
    predictions, targets = np.concatenate(outputs), np.concatenate(truth)
    kept: dict[str, Any] = {}
    for score in task.scores:
        if score.endswith("_acc"):
            step = 12 if score == "chroma_acc" else len(task.labels)
            right = predictions.argmax(1) % step == targets.argmax(1) % step
            kept[score] = statistics(records.RATIO, sources, np.column_stack([right, np.ones_like(right)]))
        else:
            kept[score] = {"kind": records.RANKED}
    beside = {"predictions": predictions.astype(np.float16), "targets": targets, "sources": np.array(sources)}
    return {score: metric(score, values) for score, values in folds.items()}, kept, beside


def test_events(task: HearTask, embedded: Embedded, fits: Sequence[Fitted]) -> Outcome:
    """Scores of every test fold; counts of each file of all of them."""
    folds: dict[str, list[float]] = {score: [] for score in task.scores}
    counts: dict[str, list[np.ndarray]] = {score: [] for score in task.scores}
    sources = []
    for fold, fitted in zip(task.folds, fits, strict=True):
        data = gather(task, embedded, fold.test)
        predictions = predict(fitted, data.inputs)
        for score in task.scores:
            own = event_counts(task, data, predictions, fitted.chosen, score)
            counts[score].append(own)
            folds[score].append(event_score(score, own.sum(axis=0)))
        sources += [clip.source for clip in data.clips]
    kept = {}
    for score in task.scores:
        kind = records.ERROR_RATE if score == SEGMENT_ERROR_RATE else records.F_MEASURE
        kept[score] = statistics(kind, sources, np.concatenate(counts[score]))
    return {score: metric(score, values) for score, values in folds.items()}, kept, {}
