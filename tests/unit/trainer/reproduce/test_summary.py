"""The report of a full miniature, from measures whose answer is known."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.unit.trainer.reproduce.test_claims import column
from trainer.evaluation.results.records import read_all
from trainer.reproduce.claims import CLAIMS
from trainer.reproduce.comparison import Outcome
from trainer.reproduce.probes import METRICS
from trainer.reproduce.scale import FULL
from trainer.reproduce.summary import summarise
from trainer.reproduce.variants import BASELINES, MAIN, RECIPES, trainings

BETTER = {"EFJ": 0.62, "AUD": 0.4}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Every training of the full scale; EFJ is better than the others and AUD worse, whatever is asked."""
    folder = tmp_path_factory.mktemp("report")
    measured: dict[str, dict[str, dict[int, Path]]] = {}
    labels = [(one.group, one.label) for one in trainings(FULL) if one.world.fold == 1] + [(MAIN, n) for n in BASELINES]
    for number, (group, label) in enumerate(labels):
        for fold, found in column(BETTER.get(label, 0.5), number).items():
            path = folder / "kept" / f"{number}-{fold}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(found | {"shortcuts": {"redub": 0.6, "es": 0.7}}))
            measured.setdefault(group, {}).setdefault(label, {})[fold] = path
    outcome = Outcome(FULL, measured, {group: group for group in measured}, {"worlds": 1.0}, 2.0)
    return folder, summarise(outcome, folder, draws=1000)


def test_budgets_are_equal() -> None:
    every = trainings(FULL)
    assert {one.steps for one in every if one.group == MAIN} == {FULL.steps}
    assert {one.loaded().data.batch_size for one in every} == {64}
    assert {one.label for one in every if one.group == MAIN} == {*RECIPES, "EN, λ_a = 0", "EFJ, λ_a = 0"}
    assert len({one.world.seed for one in every}) == len(FULL.folds) == 5
    without = next(one for one in every if one.label == "EFJ, λ_a = 0").loaded()
    assert "a_p|a_s" not in without.weights() and "a_p|a_s" in every[4].loaded().weights()


def test_the_report_says_what_was_measured(told: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = told
    said = {row["name"]: row["verdict"] for row in summary["claims"]}
    assert list(said) == [claim.name for claim in CLAIMS]
    assert said["main"] == said["audio alone"] == said["audio with dubs"] == "holds"
    assert said["languages alike"] == "does not hold" and said["each language"] == "undecided"
    assert {sweep["metric"] for sweep in summary["sweeps"]} == set(METRICS)
    assert len({sweep["sweep"] for sweep in summary["sweeps"]}) == 3
    page = (folder / "reproduce.html").read_text()
    for claim in CLAIMS:
        assert claim.text.replace("'", "&#x27;") in page
    assert all(label in page for label in (*BASELINES, "SEP, two views", "no face", "12 dB")) and "nothing." not in page
    whole = Balance()
    whole.feed(page)
    assert whole.open == []


def test_results_are_read_by_the_evaluations(told: tuple[Path, dict[str, Any]]) -> None:
    found = read_all([told[0] / "results"])
    main = [one for one in found if one["name"] == MAIN]
    assert len(main) == len(RECIPES) + 2 + len(BASELINES) and len(found) == len(main) + 6
    assert all(one["primary"] == "scene" and len(one["metrics"]["scene"]["folds"]) == 5 for one in found)


class Balance(HTMLParser):
    """Tags that were opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        if tag not in {"meta", "br", "line", "circle", "html", "body"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"html", "body"}:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attributes: Any) -> None: ...
