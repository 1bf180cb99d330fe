"""Negatives of all processes: the gradient is that of one process with the whole batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from tests.unit.trainer.objective import several, small
from trainer.objective import gradcache
from trainer.training.processes import ProcessGroup

CLOSE = 1e-6


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor]]]:
    """What each process ended with, by case."""
    folder = tmp_path_factory.mktemp("processes")
    spawn(several.process, (str(folder),), several.WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(several.WORLD)]


def whole(settings: dict[str, Any], shots: slice = slice(None)) -> dict[str, torch.Tensor]:
    model, objective = small.Small(), small.objective(**settings)
    batch = {key: x[shots] for key, x in small.batch().items()}
    objective(model(batch), batch["shot"]).total.backward()
    return small.gradients(model, objective)


@pytest.mark.parametrize("case", several.CASES)
def test_the_gradient_of_one_process(found: list[dict[str, dict[str, torch.Tensor]]], case: str) -> None:
    alone = whole(several.CASES[case])
    for ours in found:
        assert small.difference(ours[case], alone) < CLOSE
        assert small.difference(ours[f"cached {case}"], alone) < CLOSE


def test_a_gather_without_gradient_is_another_gradient(found: list[dict[str, dict[str, torch.Tensor]]]) -> None:
    alone = whole({})
    for ours in found:
        assert small.difference(ours["naive"], alone) > 0.05


def test_without_gather_each_process_has_its_own_negatives(found: list[dict[str, dict[str, torch.Tensor]]]) -> None:
    settings = {"learn_temperature": True}
    first, second = whole(settings, slice(0, 6)), whole(settings, slice(6, 12))
    for ours in found:
        assert small.difference(ours["apart"], {name: (first[name] + second[name]) / 2 for name in first}) < CLOSE


def test_an_input_norm_sees_the_batch_of_all_processes(found: list[dict[str, dict[str, torch.Tensor]]]) -> None:
    model, objective = small.Small(norm=True), small.objective()
    objective(model(small.batch()), small.SHOTS).total.backward()
    alone = small.gradients(model, objective)
    for ours in found:
        gradients = {name: x for name, x in ours["cached norm"].items() if name in alone}
        assert small.difference(gradients, alone) < CLOSE
        for name, buffer in model.named_buffers():
            assert torch.allclose(ours["cached norm"][name], buffer, rtol=1e-6), name


def test_an_input_norm_sees_all_of_it_without_parts_too(found: list[dict[str, dict[str, torch.Tensor]]]) -> None:
    """objective.chunk = 0, as the learner runs it."""
    alone = several.learnt(small.batch(), ProcessGroup())
    buffers = {name for name in alone if "running" in name or "tracked" in name}
    for ours in found:
        gradients = {name: x for name, x in ours["as trained"].items() if name not in buffers}
        assert small.difference(gradients, {name: x for name, x in alone.items() if name not in buffers}) < CLOSE
        for name in buffers:
            assert torch.allclose(ours["as trained"][name], alone[name], rtol=1e-6), name


def test_split_gives_views() -> None:
    batch = small.batch()
    parts = gradcache.split(batch, 5)
    assert [len(part["shot"]) for part in parts] == [5, 5, 2]
    assert parts[1]["video_p"].data_ptr() == batch["video_p"][5:].data_ptr()
