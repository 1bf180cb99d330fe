"""Verdicts on made-up results whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainer.reproduce.claims import CLAIMS, difference, holm, judged
from trainer.reproduce.probes import METRICS
from trainer.reproduce.variants import RECIPES


def column(right: float, seed: int, folds: int = 5, spread: float = 0.0) -> dict[int, dict[str, Any]]:
    """Folds of 60 recordings with 10 items each."""
    random = np.random.default_rng(seed)
    found = {}
    for fold in range(1, folds + 1):
        share = right + spread * random.normal()
        counts = {name: [[int(random.binomial(10, share)), 10] for _ in range(60)] for name in METRICS}
        sources = [f"{fold}:{n}" for n in range(60)]
        found[fold] = {
            "statistics": {name: {"kind": "ratio", "sources": sources, "counts": counts[name]} for name in METRICS},
            "shortcuts": {},
        }
    return found


def columns(**values: float) -> dict[str, dict[int, dict[str, Any]]]:
    return {name: column(values.get(name, 0.5), seed) for seed, name in enumerate(RECIPES)}


def verdicts(found: dict[str, dict[int, dict[str, Any]]]) -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in judged(found, 500)}


def test_a_large_effect_holds_and_its_opposite_does_not() -> None:
    assert verdicts(columns(EFJ=0.62))["main"] == "holds"
    assert verdicts(columns(EFJ=0.38))["main"] == "does not hold"
    assert verdicts(columns())["main"] == "undecided"


def test_alike_needs_a_narrow_interval() -> None:
    assert verdicts(columns(ES=0.8))["languages alike"] == "does not hold"
    noisy = columns() | {"JA": column(0.5, 3, spread=0.1)}
    assert verdicts(noisy)["languages alike"] == "undecided"


def test_few_folds_decide_nothing() -> None:
    found = {name: {1: folds[1]} for name, folds in columns(EFJ=0.9).items()}
    assert set(verdicts(found).values()) == {"undecided"}


def test_what_was_not_run_is_undecided() -> None:
    found = {name: folds for name, folds in columns(EFJ=0.7).items() if name in {"EN", "EFJ"}}
    assert verdicts(found)["audio with dubs"] == "undecided" and verdicts(found)["main"] == "holds"


def test_the_interval_is_the_wider_one() -> None:
    noisy = difference(column(0.6, 1, spread=0.1), column(0.5, 2), "scene")
    assert noisy is not None and noisy.by_fold is not None
    assert noisy.interval == (min(noisy.by_fold[0], noisy.by_source[0]), max(noisy.by_fold[1], noisy.by_source[1]))
    assert noisy.by_fold[1] - noisy.by_fold[0] > noisy.by_source[1] - noisy.by_source[0]


def test_the_papers_own_differences_stand_beside() -> None:
    parts = {
        part["metric"]: part for row in judged(columns(), 100) for part in row["contrasts"] if row["name"] == "clean"
    }
    assert parts["clean"]["paper"] == pytest.approx(0.587 - 0.527)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_claims_name_what_there_is() -> None:
    labels = {*RECIPES, "EN, λ_a = 0", "EFJ, λ_a = 0"}
    for claim in CLAIMS:
        for contrast in claim.contrasts:
            assert contrast.metric in METRICS and {contrast.one, contrast.other} <= labels
