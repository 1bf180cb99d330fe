"""Negatives of all processes: the gradient is that of one process with the whole batch."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.multiprocessing.spawn import spawn

from tests.unit.trainer.objective import several, small
from trainer.objective import Gather, gradcache
from trainer.objective.synchronised_norm import synchronise
from trainer.training.processes import ProcessGroup

CLOSE = 1e-6


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor]]]:
    """What each process ended with, by case."""
    folder = tmp_path_factory.mktemp("processes")
    spawn(several.process, (str(folder),), several.WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(several.WORLD)]


@pytest.fixture(scope="module")
def with_towers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor]]]:
    folder = tmp_path_factory.mktemp("towers")
    spawn(several.with_towers, (str(folder),), several.WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(several.WORLD)]


@lru_cache
def by_itself(case: str) -> dict[str, torch.Tensor]:
    """One process with the whole batch."""
    step: dict[str, torch.Tensor] = several.tower_step(case, 0, several.tower_batch(case), ProcessGroup())
    return step


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "chunk"), [*((case, 0) for case in several.TOWERS), *((case, 1) for case in several.CHUNKED)]
)
def test_every_tower_learns_as_with_the_whole_batch(
    with_towers: list[dict[str, dict[str, torch.Tensor]]], case: str, chunk: int
) -> None:
    """One process louder and brighter than the other: statistics of their own would be others."""
    alone = by_itself(case)
    buffers = {name for name in alone if "running" in name or "tracked" in name}
    assert bool(buffers) != case.startswith("tiny")
    for ours in with_towers:
        step = ours[f"{case} {chunk}"]
        gradients = {name: x for name, x in step.items() if name not in buffers}
        assert small.difference(gradients, {name: x for name, x in alone.items() if name not in buffers}) < 1e-5
        for name in buffers:
            assert torch.allclose(step[name].float(), alone[name].float(), rtol=1e-5, atol=1e-6), name


def test_split_gives_views() -> None:
    batch = small.batch()
    parts = gradcache.split(batch, 5)
    assert [len(part["shot"]) for part in parts] == [5, 5, 2]
    assert parts[1]["video_p"].data_ptr() == batch["video_p"][5:].data_ptr()


def test_on_cuda_torch_synchronises() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ModuleDict({"norm": nn.BatchNorm2d(4)}))
    names, weight = list(model.state_dict()), model[1]["norm"].weight  # type: ignore[index]
    synchronise(model, Gather(0, 2), torch.device("cuda"))
    norm = model[1]["norm"]  # type: ignore[index]
    assert isinstance(norm, nn.SyncBatchNorm) and norm.weight is weight and list(model.state_dict()) == names
