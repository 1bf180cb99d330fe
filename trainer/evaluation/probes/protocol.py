"""Probes over a data set of clips, or over a HEAR task by the long schedule: results as others have them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shared.core.errors import InputError
from trainer.encoder import Encoder
from trainer.evaluation.embedding import AudioEncoder
from trainer.evaluation.hear.protocol import Listener, embed, gather
from trainer.evaluation.hear.tasks import HearTask
from trainer.evaluation.probes.clips import embed_clips, features
from trainer.evaluation.probes.listings import Listing
from trainer.evaluation.probes.probe import HARES, Schedule, Shape, predict, train
from trainer.evaluation.results import records
from trainer.evaluation.results.records import digest_of, metric, statistics
from trainer.evaluation.subject import Subject

HELD_OUT = 0.2
"""Share of the training recordings that choose from the grid where a data set has no validation split."""


def evaluate(
    listing: Listing,
    subject: Subject[Encoder],
    *,
    streams: str,
    grid: Sequence[Shape],
    schedule: Schedule,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Choose a probe on validation recordings, train it on all but the test split, test it.

    Args:
        listing: Clips (:mod:`trainer.evaluation.probes.listings`).
        subject: Who is evaluated.
        streams: audio, video or both.
        grid: Probes that are tried.
        schedule: Of their training.
        progress: Told how many clips are embedded.

    Raises:
        InputError: ``no_clips`` if a split has none that can be read.
    """
    started = time.perf_counter()
    encoder, seed, device = subject.encoder, subject.seed, subject.device
    files = embed_clips(encoder, [clip.file for clip in listing.clips], subject.cache, progress)
    inputs, there = features(files, streams)
    split = np.array([clip.split for clip in listing.clips])
    for side in ("train", "test"):
        if not (there & (split == side)).any():
            counted = ", ".join(f"{code}: {count}" for code, count in files.skipped.items()) or "no such stream"
            raise InputError(f"No clip to {side} on could be embedded ({counted}).", code="no_clips")
    names = sorted({clip.label for clip in listing.clips})
    if listing.regression:
        targets = np.array([float(clip.label) for clip in listing.clips])
    else:
        targets = np.array([names.index(clip.label) for clip in listing.clips])
    classes = 0 if listing.regression else len(names)
    sources = np.array([clip.source for clip in listing.clips])
    learn, choose = sides(split, sources, there, seed)
    tried = []
    for shape in grid if len(grid) > 1 else []:
        probe = train(inputs[learn], targets[learn], shape, schedule, classes=classes, seed=seed, device=device)
        tried.append(float(right(predict(probe, inputs[choose]), targets[choose], classes).mean()))
    best = grid[int(np.argmax(tried))] if tried else grid[0]
    all_but_test = there & (split != "test")
    probe = train(
        inputs[all_but_test], targets[all_but_test], best, schedule, classes=classes, seed=seed, device=device
    )
    test = there & (split == "test")
    predictions = predict(probe, inputs[test])
    hits = right(predictions, targets[test], classes)
    name = "error" if listing.regression else "top1_acc"
    counts = np.column_stack([-hits if listing.regression else hits, np.ones(len(hits))])
    metrics = {name: metric(name, [float(counts[:, 0].mean())])}
    kept = {name: statistics(records.RATIO, sources[test].tolist(), counts)}
    if classes > 5:
        five = (np.argsort(-predictions, axis=1)[:, :5] == targets[test][:, None]).any(1)
        metrics["top5_acc"] = metric("top5_acc", [float(five.mean())])
        kept["top5_acc"] = statistics(
            records.RATIO, sources[test].tolist(), np.column_stack([five, np.ones(len(five))])
        )
    return {
        "evaluation": "probe",
        "name": listing.name if streams != "audio" else f"{listing.name}-audio",
        "label": subject.label,
        "checkpoint": {"id": encoder.id, "recipe": encoder.recipe.name or None},
        "data": {
            "hash": digest_of(
                (c.split, c.source, d, c.label) for c, d in zip(listing.clips, files.digests, strict=True)
            ),
            "clips": len(listing.clips),
            "missing": listing.missing,
            "leaking_recordings": listing.leaks,
            "skipped": files.skipped,
            "without_stream": int((~there).sum()) - sum(files.skipped.values()),
            "splits": {side: int((there & (split == side)).sum()) for side in sorted(set(split))},
        },
        "settings": {
            "streams": streams,
            "schedule": schedule._asdict(),
            "probe": best._asdict(),
            "tried": len(grid),
            "windows": "mean over windows and five crops",
        },
        "seeds": {"probe": seed},
        "metrics": metrics,
        "primary": name,
        "statistics": kept,
        "validation": [{"score": score, "probe": shape._asdict()} for score, shape in zip(tried, grid, strict=False)],
        "cost": {
            "embedded": files.computed,
            "found": len(listing.clips) - files.computed - sum(files.skipped.values()),
            "seconds": round(time.perf_counter() - started, 3),
        },
    }


def sides(split: np.ndarray, sources: np.ndarray, there: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What learns and what chooses, bool ``[clips]`` each: the validation split, or whole recordings held out."""
    if (there & (split == "valid")).any():
        return there & (split == "train"), there & (split == "valid")
    training = there & (split == "train")
    names = np.random.default_rng(seed).permutation(np.unique(sources[training]))
    held = np.isin(sources, names[: max(1, round(HELD_OUT * len(names)))])
    if not (training & ~held).any():
        return training, training
    return training & ~held, training & held


def right(predictions: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """1 where a class is right; minus the squared error of a value. Higher is better, float ``[items]``."""
    if classes:
        hits: np.ndarray = predictions.argmax(1) == targets
        return hits.astype(np.float64)
    scores: np.ndarray = -((predictions[:, 0] - targets) ** 2)
    return scores


def evaluate_long(
    task: HearTask,
    subject: Subject[AudioEncoder],
    *,
    shape: Shape | None = None,
    schedule: Schedule = HARES,
    listener: Listener = lambda what, done, of: None,
) -> dict[str, Any]:
    """A scene task of HEAR's layout by HARES' schedule: one probe a fold, its last step is tested.

    Raises:
        InputError: ``bad_task`` for event and multilabel tasks.
    """
    if task.events or task.multilabel:
        raise InputError(f"Long probes take one label a clip; “{task.name}” has others.", code="bad_task")
    started = time.perf_counter()
    shape = shape or Shape()
    encoder, seed, device = subject.encoder, subject.seed, subject.device
    embedded = embed(task, encoder, subject.cache, listener)
    folds, hits, sources = [], [], []
    for number, fold in enumerate(task.folds):
        data, test = gather(task, embedded, fold.train), gather(task, embedded, fold.test)
        truth = data.targets.argmax(1).astype(np.int64)
        probe = train(data.inputs, truth, shape, schedule, classes=len(task.labels), seed=seed + number, device=device)
        own = right(predict(probe, test.inputs), test.targets.argmax(1), len(task.labels))
        folds.append(float(own.mean()))
        hits.append(own)
        sources += [clip.source for clip in test.clips]
        listener("folds", number + 1, len(task.folds))
    every = np.concatenate(hits)
    return {
        "evaluation": "long",
        "name": task.name,
        "label": subject.label,
        "checkpoint": {"id": encoder.id, "recipe": getattr(getattr(encoder, "recipe", None), "name", None)},
        "data": {
            "hash": digest_of(
                (clip.split, clip.source, digest, clip.labels)
                for clip, digest in zip(task.clips, embedded.digests, strict=True)
            ),
            "clips": len(task.clips),
        },
        "settings": {"schedule": schedule._asdict(), "probe": shape._asdict(), "folds": len(task.folds)},
        "seeds": {"probe": seed},
        "metrics": {"top1_acc": metric("top1_acc", folds)},
        "primary": "top1_acc",
        "statistics": {"top1_acc": statistics(records.RATIO, sources, np.column_stack([every, np.ones_like(every)]))},
        "cost": {
            "embedded": embedded.computed,
            "found": len(task.clips) - embedded.computed,
            "seconds": round(time.perf_counter() - started, 3),
        },
    }
