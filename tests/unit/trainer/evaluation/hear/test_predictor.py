"""HEAR's predictor: it learns, stops, and is drawn from HEAR's grid."""

from __future__ import annotations

import numpy as np
import pytest

from shared.core.errors import CounterdubError
from trainer.evaluation.hear.predictor import GridPoint, batches, fit, points, predict


def test_predictor_learns_and_stops() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 240)
    inputs = (np.eye(3)[truth] @ rng.standard_normal((3, 20)) * 2 + rng.standard_normal((240, 20))).astype(np.float32)
    targets = np.eye(3)[truth]

    def accuracy(predictions: np.ndarray) -> tuple[float, None]:
        return float((predictions.argmax(1) == truth[160:]).mean()), None

    point = GridPoint(hidden_dim=32, max_epochs=300, patience=3)
    train, valid = (inputs[:160], targets[:160]), (inputs[160:], targets[160:])
    fitted = fit(train, valid, point, accuracy, multilabel=False, seed=0)
    assert fitted.score > 0.9 and fitted.epoch < 299
    assert accuracy(predict(fitted, inputs[160:]))[0] == fitted.score
    by_loss = fit(train, valid, point, None, multilabel=True, seed=0)
    assert predict(by_loss, inputs[160:]).shape == (80, 3)


def test_grid_and_batches() -> None:
    every = points("default", 99, 0)
    assert len(every) == 16 and len(set(every)) == 16
    assert {point.hidden_dim for point in every} == {1024} and {point.max_epochs for point in every} == {500}
    assert points("default", 8, 1) == points("default", 8, 1) != points("default", 8, 2)
    with pytest.raises(CounterdubError):
        points("slow", 8, 0)
    assert batches(2049, 1024) == [(0, 1024), (1024, 2049)] and batches(1, 1024) == [(0, 1)]
