"""Language invariance of a checkpoint on a shard set: one result for :mod:`trainer.evaluation.results.records`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.encoder import Encoder
from trainer.evaluation.embedding import embed_files
from trainer.evaluation.invariance.measures import agreement, kept, retrieval, tell_apart
from trainer.evaluation.invariance.shots import Shots, embed_shots
from trainer.evaluation.results import records
from trainer.evaluation.results.records import digest_of, metric, statistics
from trainer.evaluation.subject import Subject

ORIGINAL, CONTROL, BACKGROUND = "orig", "control", "background"
DEPTHS = (1, 5, 10)
FEW_TITLES = 5
"""With fewer, results are bootstrapped over shots instead of titles: less cautious, and the result says so."""

Measures = dict[str, np.ndarray]
"""Values by metric, one a shot (nan where it has none), or a single one."""


def evaluate(
    folder: Path,
    subject: Subject[Encoder],
    *,
    limit: int = 2000,
    speech: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Measure what dubbing alone can ask.

    Args:
        folder: Shards with tracks ``orig`` and dubs; ``control`` and pictures where there are.
        subject: Who is asked; its seed is that of the probes' folds.
        limit: Shots at most.
        speech: Folder of spoken digits, ``<digit>_<speaker>_<n>.wav``: adds the probes of word and speaker.
        progress: Told how many shots are embedded.

    Returns:
        A result; its main metric ``own_dub`` is how often the nearest dub of a shot's original is its own, over all
        languages.

    Raises:
        InputError: Of :func:`trainer.evaluation.invariance.shots.embed_shots`.
    """
    started = time.perf_counter()
    encoder = subject.encoder
    shots = embed_shots(encoder, folder, subject.cache, limit=limit, progress=progress)
    dubs = [name for name in shots.tracks if name not in {ORIGINAL, CONTROL, BACKGROUND}]
    measures = {**agreements(shots, dubs), **retrievals(shots, dubs)}
    few = len(set(shots.titles)) < FEW_TITLES
    sources = shots.keys if few else shots.titles
    values = {name: metric(name, [float(np.nanmean(value))]) for name, value in measures.items() if known(value)}
    stored = {name: over(sources, measures[name]) for name in values}
    for name, value in measures.items():
        if name in values and (expected := chance(name, int(np.isfinite(value).sum()))) is not None:
            values[name]["chance"] = expected
    for name, auc in shortcuts(shots, dubs).items():
        values[name] = metric(name, [auc])
    for name, (right, of) in probes(shots, dubs, subject, speech).items():
        values[name] = metric(name, [float(right.mean())])
        stored[name] = statistics(records.RATIO, of, np.column_stack([right, np.ones_like(right)]))
    return {
        "evaluation": "invariance",
        "name": "language invariance",
        "label": subject.label,
        "checkpoint": {"id": encoder.id, "recipe": encoder.recipe.name or None},
        "data": {
            "hash": digest_of([(shots.digest,), *((key,) for key in shots.keys)]),
            "shots": len(shots.keys),
            "titles": len(set(shots.titles)),
            "tracks": sorted(shots.tracks),
            "skipped": shots.skipped,
        },
        "settings": {"limit": limit, "bootstrap_over": "shots" if few else "titles"},
        "seeds": {"folds": subject.seed},
        "metrics": values,
        "primary": "own_dub" if "own_dub" in values else next(iter(values)),
        "statistics": stored,
        "cost": {
            "embedded": shots.computed,
            "found": len(shots.keys) - shots.computed,
            "seconds": round(time.perf_counter() - started, 3),
        },
    }


def chance(name: str, shots: int) -> float | None:
    """What a metric is for an encoder that tells nothing; None where that is not known."""
    kind = name.partition("/")[0]
    if kind == "own_rank":
        return (shots - 1) / 2
    if kind in {"own_dub", "own_dub_among_originals"}:
        return 1 / shots
    return int(kind[1:]) / shots if kind[1:].isdecimal() else None


def known(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any())


def over(sources: Sequence[str], values: np.ndarray) -> dict[str, Any]:
    there = np.isfinite(values)
    named = [source for source, has in zip(sources, there, strict=True) if has]
    return statistics(records.RATIO, named, np.column_stack([values[there], np.ones(int(there.sum()))]))


def both(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Shots that have both tracks, bool ``[N]``."""
    there: np.ndarray = np.isfinite(one).all(1) & np.isfinite(other).all(1)
    return there


def agreements(shots: Shots, dubs: Sequence[str]) -> Measures:
    """Similarity and rank of each dub (and the control) to the original, by the towers' embeddings."""
    measures: Measures = {}
    own_dub = []
    for name in [*([CONTROL] if CONTROL in shots.tracks else []), *dubs]:
        there = both(shots.tracks[ORIGINAL], shots.tracks[name])
        if there.sum() < 2:
            continue
        between = agreement(shots.tracks[ORIGINAL][there], shots.tracks[name][there])
        spread = {
            f"similarity_own/{name}": between.own,
            f"similarity_other/{name}": between.other,
            f"own_dub/{name}": between.rank < 1,
            f"own_rank/{name}": between.rank,
            f"own_dub_among_originals/{name}": between.rank_among_first < 1,
        }
        for key, value in spread.items():
            measures[key] = np.full(len(there), np.nan)
            measures[key][there] = value
        if name != CONTROL:
            own_dub.append(measures[f"own_dub/{name}"])
    if own_dub:
        stacked = np.stack(own_dub)
        any_dub = np.isfinite(stacked).any(0)
        measures["own_dub"] = np.full(len(any_dub), np.nan)
        measures["own_dub"][any_dub] = np.nanmean(stacked[:, any_dub], axis=0)
    return measures


def retrievals(shots: Shots, dubs: Sequence[str]) -> Measures:
    """Sound of every language to picture and back, by the projections that training compared."""
    measures: Measures = {}
    if shots.seen is None:
        return measures
    for name in [ORIGINAL, *([CONTROL] if CONTROL in shots.tracks else []), *dubs]:
        there = both(shots.heard[name], shots.seen)
        if there.sum() < 2:
            continue
        heard, seen = shots.heard[name][there], shots.seen[there]
        for way, rank in ((f"{name}-video", retrieval(heard, seen)), (f"video-{name}", retrieval(seen, heard))):
            for depth in [depth for depth in DEPTHS if depth < there.sum()]:
                measures[f"r{depth}/{way}"] = np.full(len(there), np.nan)
                measures[f"r{depth}/{way}"][there] = rank < depth
    return measures


def shortcuts(shots: Shots, dubs: Sequence[str]) -> dict[str, float]:
    """AUC of telling tracks by their embeddings: original from control (same words), control from each dub."""
    aucs = {}
    pairs = [(ORIGINAL, CONTROL), *((CONTROL if CONTROL in shots.tracks else ORIGINAL, name) for name in dubs)]
    for one, other in pairs:
        if one not in shots.tracks or other not in shots.tracks:
            continue
        there = both(shots.tracks[one], shots.tracks[other])
        auc = tell_apart(shots.tracks[one][there], shots.tracks[other][there]).auc if there.any() else None
        if auc is not None:
            aucs[f"shortcut/{one}-{other}"] = auc
    return aucs


def probes(
    shots: Shots, dubs: Sequence[str], subject: Subject[Encoder], speech: Path | None
) -> dict[str, tuple[np.ndarray, list[str]]]:
    """What is kept: items right and their sources, for language, and for word and speaker where there is speech."""
    results = {}
    named = [ORIGINAL, *dubs]
    rows = [(name, n) for name in named for n in np.flatnonzero(np.isfinite(shots.tracks[name]).all(1))]
    if len(named) > 1 and len(set(shots.keys)) > 1:
        embeddings = np.stack([shots.tracks[name][n] for name, n in rows])
        # A title on one side only, where there are enough of them.
        of = shots.titles if len(set(shots.titles)) >= FEW_TITLES else shots.keys
        groups = [of[n] for _, n in rows]
        results["language"] = (
            kept(embeddings, np.array([name for name, _ in rows]), np.array(groups), seed=subject.seed),
            groups,
        )
    if speech is not None:
        files = sorted(file for file in speech.rglob("*.wav") if re.fullmatch(r"\d+_\w+_\d+", file.stem))
        words, speakers, takes = (np.array(column) for column in zip(*(f.stem.split("_") for f in files), strict=True))
        embeddings = np.stack(embed_files(subject.encoder, files, subject.cache).rows)
        results["word"] = (kept(embeddings, words, speakers, folds=99, seed=subject.seed), list(speakers))
        results["speaker"] = (kept(embeddings, speakers, takes, seed=subject.seed), [f"take {take}" for take in takes])
    return results
