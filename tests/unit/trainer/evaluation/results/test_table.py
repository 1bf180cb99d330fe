"""Results as files, the bootstrap beside its textbook, tables and pages, the published figures, the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from typer.testing import CliRunner

from services.cli.main import app
from shared.core.errors import CounterdubError
from trainer.evaluation.results import records, table
from trainer.evaluation.results.page import page
from trainer.evaluation.results.significance import compare, from_counts, from_predictions

SOURCES = [f"recording{n // 2}" for n in range(60)]


def result(label: str, right: np.ndarray, task: str = "esc50", seed: int = 0, **other: Any) -> dict[str, Any]:
    counts = np.column_stack([right, np.ones(len(right))])
    return {
        "evaluation": "hear",
        "name": task,
        "label": label,
        "checkpoint": {"id": f"{label}{seed}", "recipe": label},
        "data": {"hash": "d" * 64, "clips": len(right)},
        "settings": {},
        "seeds": {"predictor": seed},
        "metrics": {"top1_acc": records.metric("top1_acc", [float(right.mean())])},
        "primary": "top1_acc",
        "statistics": {"top1_acc": records.statistics(records.RATIO, SOURCES, counts)},
        "cost": {},
    } | other


def some(share: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(60) < share).astype(int)


def test_a_result_is_kept_whole_and_found_again(tmp_path: Path) -> None:
    predictions = {"predictions": np.zeros((4, 2)), "sources": np.array(["a", "a", "b", "b"])}
    path = records.write(result("EN", some(0.5)), tmp_path / "runs", predictions)
    kept = json.loads(path.read_text())
    assert kept["schema"] == 1 and set(kept["versions"]) >= {"counterdub", "python", "torch", "numpy"}
    assert {"checkpoint", "data", "settings", "seeds", "metrics"} <= set(kept)
    assert len(kept["statistics"]["top1_acc"]["sources"]) == 30
    assert (path.parent / kept["predictions"]).is_file()
    assert records.write(result("EN", some(0.6)), tmp_path / "runs") == path, "the same run overwrites itself"
    assert records.write(result("EN", some(0.6), seed=1), tmp_path / "runs") != path
    assert len(records.read_all([tmp_path])) == 2
    assert not list((tmp_path / "runs").glob("*.part"))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"schema": 99}', "nonsense"])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CounterdubError) as caught:
        records.read_all([tmp_path])
    assert caught.value.code == "not_a_result"
    (tmp_path / "x.json").unlink()
    with pytest.raises(CounterdubError) as caught:
        records.read_all([tmp_path])
    assert caught.value.code == "no_results"


def test_metrics_that_are_not_numbers_are_null() -> None:
    assert records.metric("d_prime", [1.0, float("inf")]) == {
        "value": None,
        "sd": None,
        "folds": [1.0, None],
        "higher_is_better": True,
    }
    assert records.metric("segment_1s_er", [0.5])["higher_is_better"] is False
    spread = records.metric("top1_acc", [0.4, 0.6])
    assert (spread["value"], spread["sd"]) == (0.5, pytest.approx(np.std([0.4, 0.6], ddof=1)))


def test_interval_is_that_of_the_normal_theory() -> None:
    """Many sources of one clip each: the interval is the mean ± 1.96 standard errors of the difference."""
    rng = np.random.default_rng(0)
    one, other = rng.random(400) < 0.7, rng.random(400) < 0.6
    names = [f"{n:03d}" for n in range(400)]
    two = [from_counts(records.RATIO, names, np.column_stack([right, np.ones(400)])) for right in (one, other)]
    found = compare(two[0], two[1], draws=8000)
    assert found is not None
    difference = one.astype(float) - other
    error = 1.96 * difference.std(ddof=1) / 20
    assert found.difference == pytest.approx(difference.mean())
    assert found.low == pytest.approx(difference.mean() - error, abs=0.006)
    assert found.high == pytest.approx(difference.mean() + error, abs=0.006)
    assert (found.p < 0.05) == (abs(difference.mean()) > error)


def test_clips_of_one_recording_do_not_count_as_many() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.random(40) < 0.8, rng.random(40) < 0.5
    again = 10
    alone = [
        records.statistics(records.RATIO, [str(n) for n in range(40)], np.column_stack([r, r >= 0]))
        for r in (one, other)
    ]
    many = [
        records.statistics(
            records.RATIO,
            [str(n) for n in range(40) for _ in range(again)],
            np.repeat(np.column_stack([r, r >= 0]), again, 0),
        )
        for r in (one, other)
    ]
    widths = []
    for pair in (alone, many):
        first, second = (from_counts(s["kind"], s["sources"], np.array(s["counts"], float)) for s in pair)
        found = compare(first, second)
        assert found is not None
        widths.append(found.high - found.low)
    assert widths[0] == pytest.approx(widths[1])


def test_other_sources_are_not_compared() -> None:
    one = from_counts(records.RATIO, ["a", "b"], np.ones((2, 2)))
    assert compare(one, from_counts(records.RATIO, ["a", "c"], np.ones((2, 2)))) is None
    assert compare(one, one) == (0.0, 0.0, 0.0, 1.0, 2)


def test_ranked_metrics_follow_the_draw() -> None:
    """mAP of a draw is scikit-learn's on the repeated items."""
    rng = np.random.default_rng(0)
    predictions, targets = rng.random((30, 3)), (rng.random((30, 3)) < 0.4).astype(int)
    of = np.array([f"{n // 3:02d}" for n in range(30)])
    whole = from_predictions("mAP", predictions, targets, of)
    weights = rng.multinomial(10, np.full(10, 0.1), size=3).astype(float)
    for weight, value in zip(weights, whole.values(weights), strict=True):
        item = np.repeat(np.arange(30), np.repeat(weight, 3).astype(int))
        assert value == pytest.approx(average_precision_score(targets[item], predictions[item], average="macro"))
    assert np.isfinite(from_predictions("d_prime", predictions, targets, of).values(weights)).all()


def test_table_pairs_what_belongs_together(tmp_path: Path) -> None:
    runs = [result("EN", some(0.4, seed), seed=seed) for seed in (0, 1)]
    runs += [result("EFJ", some(0.9, seed + 5), seed=seed) for seed in (0, 1)]
    runs += [result("EN", some(0.5), task="own"), result("EFJ", some(0.5), task="own")]
    for run in runs:
        records.write(run, tmp_path)
    compared = table.tabulate(records.read_all([tmp_path]))
    assert compared.reference == "EN" and [row.task for row in compared.rows] == ["esc50", "own"]
    cell = compared.rows[0].cells["EFJ"]
    values = [some(0.9, 5).mean(), some(0.9, 6).mean()]
    assert (cell.value, cell.runs) == (np.mean(values), 2)
    assert cell.sd == pytest.approx(np.std(values, ddof=1))
    assert cell.against is not None and cell.against.low > 0 and cell.against.sources == 30
    assert cell.p_holm == pytest.approx(2 * cell.against.p), "the smaller of two"
    assert compared.rows[1].cells["EFJ"].against.difference == 0.0
    assert compared.rows[0].published["B.3 EFJ"] == (0.587, 0.009) and not compared.rows[1].published
    other_data = result("JA", some(0.9), data={"hash": "e" * 64, "clips": 60})
    compared = table.tabulate([*records.read_all([tmp_path]), other_data])
    assert len(compared.rows) == 3 and compared.rows[1].cells["JA"].against is None, "other data, another row"


def test_page_is_whole_and_safe(tmp_path: Path) -> None:
    runs = [result("EN", some(0.4)), result("<script>", some(0.9, 3))]
    compared = table.tabulate(runs)
    html = page(compared)
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "<svg" in html and "0.587" in html and 'class="bar sure"' in html
    assert not re.search(r'(src|href)="', html)


def test_every_published_figure_is_there() -> None:
    """Counted in the supplement: B.1 has 10 figures, B.2 5, B.3 8 × 8 without two, B.4 7 × 8 without four."""
    tables = table.published()
    counted = {name: sum(len(of) for of in own["models"].values()) for name, own in tables.items()}
    assert counted == {"B.1": 10, "B.2": 5, "B.3": 62, "B.4": 52}
    known = table.catalogue()
    for own in tables.values():
        assert {task for of in own["models"].values() for task in of} <= set(known)
    named = {task for own in tables.values() for of in own["models"].values() for task in of}
    assert named == set(known), "every task of the tables, and no other"
    assert tables["B.3"]["models"]["FR"]["libricount"] == [0.706, 0.021]
    assert tables["B.4"]["models"]["AUD"]["voxlingua10"] == [0.111, 0.012]


def test_claims_of_the_paper_hold_on_its_figures() -> None:
    """A check on the transcription: what the supplement says of its tables is true of ours."""

    def value(number: str, model: str, task: str) -> float:
        figure = table.published()[number]["models"][model][task]
        return figure[0] if isinstance(figure, list) else figure

    b3, dubbed = table.published()["B.3"]["models"], ("ES", "FR", "JA", "EFJ")
    tasks = list(b3["EN"])
    assert all(max(value("B.3", model, task) for model in dubbed) > value("B.3", "EN", task) for task in tasks)
    every = [task for task in tasks if min(value("B.3", model, task) for model in dubbed) > value("B.3", "EN", task)]
    assert sorted(set(tasks) - set(every)) == ["gtzan_music_speech", "tut18"]
    for number in ("B.3", "B.4"):
        for task in table.published()[number]["models"]["AUD"]:
            assert value(number, "AUD+EFJ", task) > value(number, "AUD", task)


def test_command_line(tones: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    out = str(tmp_path / "runs")
    hear = ["eval", "hear", str(tones), "-c", "mel=mel-statistics", "-c", "random:tiny-en", "--out", out]
    done = run(app, [*hear, "--grid-points", "1", "--device", "cpu", "--json"])
    assert done.exit_code == 0, done.output
    written = json.loads(done.output)["results"]
    assert [one["label"] for one in written] == ["mel", "random:tiny-en"]
    compared = run(app, ["eval", "table", out, "--html", str(tmp_path / "page.html"), "--draws", "200", "--json"])
    assert compared.exit_code == 0, compared.output
    rows = json.loads(compared.output)["rows"]
    assert rows[0]["results"]["random:tiny-en"]["against"]["sources"] == 48
    assert "random:tiny-en" in (tmp_path / "page.html").read_text()
    assert run(app, ["eval", "table", out, "--every-metric", "--draws", "200"]).exit_code == 0
    assert "esc50" in run(app, ["eval", "tasks", "--json"]).output
    wrong = run(app, ["eval", "hear", str(tmp_path), "-c", "mel-statistics", "--json"])
    assert wrong.exit_code == 3 and json.loads(wrong.output)["error"]["code"] == "not_a_task"
    nothing = ["eval", "hear", str(tones), "-c", "random:nothing", "--out", str(tmp_path / "nothing"), "--json"]
    assert run(app, nothing).exit_code == 2
    assert not (tmp_path / "nothing").exists()
