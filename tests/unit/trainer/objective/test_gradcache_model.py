"""Cached gradients through the trainer's own model: MViT, whose input norm needs the whole batch."""

from __future__ import annotations

import pytest
import torch

from shared.core.errors import UsageError
from tests.unit.trainer.objective import small
from trainer.model import Model
from trainer.objective import Objective, gradcache
from trainer.recipe import Recipe, recipe_from

SHOTS = torch.tensor([0, 1, 1, 3])


def recipe(kind: str, drop_path: float = 0.0) -> Recipe:
    tower = {"kind": kind, "patches": "nonoverlap", "drop_path": drop_path}
    return recipe_from(
        {
            "audio": {"mels": 64, "seconds": 0.7},
            "model": {"video": False, "audio": tower},
            "objective": {"terms": {}, "lambda_a": 1.0},
        }
    )


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sounds = torch.randn(2, len(SHOTS), 1, 64, 68, generator=generator) * 20 - 40
    sounds[:, ::2] += 15  # parts differ
    return {"a_p": sounds[0], "a_s": sounds[1], "shot": SHOTS}


def cached(chosen: Recipe, chunk: int) -> tuple[Model, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = Model(chosen)
    parts = gradcache.split(batch(), chunk)
    gradcache.step(gradcache.PartEncoding(model, model, model.input_norms), parts, Objective(chosen))
    return model, small.gradients(model)


def plain(chosen: Recipe) -> tuple[Model, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = Model(chosen)
    Objective(chosen)(model(batch()), SHOTS).total.backward()
    return model, small.gradients(model)


@pytest.mark.parametrize(("chunk", "drop_path"), [(3, 0.0), (4, 0.5)])
def test_mvit(chunk: int, drop_path: float) -> None:
    ours, by_cache = cached(recipe("mvit", drop_path), chunk)
    theirs, directly = plain(recipe("mvit", drop_path))
    assert small.difference(by_cache, directly) < 1e-4  # fp32 through 16 blocks
    assert dict(ours.named_buffers()).keys() == dict(theirs.named_buffers()).keys()
    for name, buffer in ours.named_buffers():
        assert torch.allclose(buffer.float(), theirs.get_buffer(name).float(), rtol=1e-5), name


def test_acoustic_resnet_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        cached(recipe("acoustic_resnet50"), 2)
    assert caught.value.code == "chunked_batch_norm"
