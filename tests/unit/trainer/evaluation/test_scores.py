"""Scores equal scikit-learn's and sed_eval's on the same predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

from trainer.evaluation import scores
from trainer.evaluation.hear.events import (
    COLLARS,
    SEGMENT_ERROR_RATE,
    SoundEvent,
    counts_of,
    event_score,
    events_from,
    labels_at,
    read_events,
)

GOLDEN = Path(__file__).parent / "golden" / "sed_eval.json"


def some(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, multilabel targets with every class on both sides, whole-number weights."""
    rng = np.random.default_rng(seed)
    predictions = rng.random((60, 7))
    if ties:
        predictions = predictions.round(1)
    targets = (rng.random((60, 7)) < 0.3).astype(float)
    targets[0], targets[1] = 0, 1
    return predictions, targets, rng.integers(0, 4, 60) + (np.arange(60) < 2)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_ranked_scores_equal_scikit_learn(seed: int, ties: bool) -> None:
    predictions, targets, weights = some(seed, ties)
    for weight in (None, weights):
        precision = average_precision_score(targets, predictions, average="macro", sample_weight=weight)
        area = roc_auc_score(targets, predictions, average=None, sample_weight=weight)
        assert scores.mean_average_precision(predictions, targets, weight) == pytest.approx(precision, abs=1e-12)
        assert scores.auc(predictions, targets, weight) == pytest.approx(area.mean(), abs=1e-12)
        d_prime = (norm.ppf(area) * np.sqrt(2)).mean()
        assert scores.d_prime(predictions, targets, weight) == pytest.approx(d_prime, abs=1e-9)


def test_ranked_scores_equal_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    predictions, targets, _ = some(5, ties=False)
    said, truth = torch.from_numpy(predictions), torch.from_numpy(targets).long()
    ours = scores.mean_average_precision(predictions, targets)
    assert ours == pytest.approx(float(metrics.multilabel_average_precision(said, truth, 7)), abs=1e-6)
    ours = scores.auc(predictions, targets)
    assert ours == pytest.approx(float(metrics.multilabel_auroc(said, truth, 7)), abs=1e-6)


def test_weights_are_repetitions() -> None:
    predictions, targets, weights = some(1, ties=True)
    again = np.repeat(np.arange(60), weights)
    for score in scores.SCENE_SCORES.values():
        assert score(predictions, targets, weights) == pytest.approx(score(predictions[again], targets[again], None))


def test_accuracy_and_chroma() -> None:
    rng = np.random.default_rng(0)
    predictions, truth = rng.random((50, 24)), rng.integers(0, 24, 50)
    targets = np.eye(24)[truth]
    assert scores.top1_accuracy(predictions, targets) == accuracy_score(truth, predictions.argmax(1))
    octave_off = np.eye(24)[(truth + 12) % 24]
    assert scores.top1_accuracy(octave_off, targets) == 0.0
    assert scores.chroma_accuracy(octave_off, targets) == 1.0


def test_a_class_without_items_scores_as_in_scikit_learn() -> None:
    predictions, targets, _ = some(0, ties=False)
    targets[:, 3] = 0
    with pytest.warns(UserWarning, match="No positive"):
        expected = average_precision_score(targets, predictions, average="macro")
    assert scores.mean_average_precision(predictions, targets) == pytest.approx(expected)
    assert np.isnan(scores.auc(predictions, targets))


@pytest.mark.parametrize("case", range(3))
def test_event_scores_equal_sed_eval(case: int) -> None:
    golden = json.loads(GOLDEN.read_text())[case]
    labels = {"a": 0, "b": 1, "c": 2}
    for name in [*COLLARS, SEGMENT_ERROR_RATE]:
        counts = sum(
            counts_of(name, read_events(reference, labels), read_events(estimated, labels), 3)
            for reference, estimated in golden["files"].values()
        )
        assert event_score(name, np.asarray(counts)) == pytest.approx(golden["scores"][name], abs=1e-12), name


def test_each_event_is_found_once_and_the_most_are() -> None:
    """The nearest partner of the first would rob the second of its only one."""
    reference = [SoundEvent(0, 100, 500), SoundEvent(0, 160, 500)]
    estimated = [SoundEvent(0, 120, 500), SoundEvent(0, 60, 500)]
    assert list(counts_of("event_onset_50ms_fms", reference, estimated, 1)) == [2, 2, 2]
    assert list(counts_of("event_onset_50ms_fms", reference, estimated[:1] * 1, 1)) == [1, 2, 1]
    assert list(counts_of("event_onset_50ms_fms", reference, [], 1)) == [0, 2, 0]


def test_events_and_labels_are_inverse() -> None:
    timestamps = np.arange(0.0, 5000.0, 50.0)
    events = [SoundEvent(0, 500.0, 1000.0), SoundEvent(1, 800.0, 2500.0), SoundEvent(0, 3000.0, 3450.0)]
    roll = labels_at(timestamps, events, 2)
    assert roll[timestamps == 1000.0, 0] == 1
    assert events_from(roll.astype(float), timestamps, median_filter_ms=0, min_duration=0) == events


def test_short_events_go_and_gaps_close() -> None:
    timestamps = np.arange(0.0, 4000.0, 50.0)
    said = labels_at(timestamps, [SoundEvent(0, 500.0, 550.0), SoundEvent(0, 2000.0, 3000.0)], 1).astype(float)
    said[timestamps == 2500.0] = 0
    assert events_from(said, timestamps) == [SoundEvent(0, 2000.0, 3000.0)]
