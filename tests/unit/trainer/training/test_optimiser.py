"""Rates and decay."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from tests.unit.trainer.training.feeds import small
from trainer.model import Model
from trainer.objective import Objective
from trainer.recipe import OptimiserSettings
from trainer.training.optimiser import adamw, rate_at, steps_of


def test_the_rate_rises_in_a_line_and_falls_half_a_cosine() -> None:
    settings = OptimiserSettings(rate=1.0, final_rate=0.1)
    rates = [rate_at(step, 110, 10, settings) for step in range(110)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[10] == 1 and rates[60] == pytest.approx(0.55) and rates[109] == pytest.approx(0.1, abs=1e-3)
    assert all(one > other for one, other in pairwise(rates[10:]))


def test_epochs_become_steps() -> None:
    assert steps_of(OptimiserSettings(epochs=12, warmup_epochs=2), 100) == (1200, 200)
    assert steps_of(OptimiserSettings(epochs=10, warmup_epochs=0.5), 7) == (70, 4)
    assert steps_of(OptimiserSettings(steps=30, warmup_steps=3), 7) == (30, 3)


def test_biases_norms_and_the_temperature_are_not_decayed() -> None:
    recipe = small("tiny-en", "objective.learn_temperature=true")
    model, objective = Model(recipe), Objective(recipe)
    optimiser = adamw(model, objective, recipe.optimiser, torch.device("cpu"))
    decayed, undecayed = optimiser.param_groups
    assert decayed["weight_decay"] == 0.05 and undecayed["weight_decay"] == 0
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert any(parameter is objective.log_scale for parameter in undecayed["params"])
    count = len(list(model.parameters())) + 1
    assert len(decayed["params"]) + len(undecayed["params"]) == count
