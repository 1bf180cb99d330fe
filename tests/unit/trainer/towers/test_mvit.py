"""What MViT does beyond the numbers of the parity cases."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from trainer.towers.mvit import Block, Mvit
from trainer.towers.mvit_attention import Pooling, PoolingAttention


def test_drop_path_leaves_samples_out_in_training_only() -> None:
    torch.manual_seed(0)
    attention = PoolingAttention(
        8, 8, 1, Pooling((1, 3, 3), (1, 1, 1), (1, 1, 1)), (1, 2, 2), class_token=False, relative_time=False
    )
    block = Block(attention, 8, 8, 1, drop_path=0.5)
    x = torch.ones(4000, 1, 1)
    assert torch.equal(block.eval().dropped(x), x)
    dropped = block.train().dropped(x)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert abs(dropped.mean().item() - 1) < 0.06


def test_drop_path_grows_with_depth() -> None:
    tower = Mvit("audio", "S", "nonoverlap", 1, (32, 64), drop_path=0.3)
    shares = [cast(Block, block).drop_path for block in tower.blocks]
    assert shares[0] == 0 and abs(shares[-1] - 0.3) < 1e-12
    assert shares == sorted(shares)


def test_a_longer_clip_than_expected_is_embedded_too() -> None:
    torch.manual_seed(0)
    tower = Mvit("audio", "S", "nonoverlap", 1, (32, 64)).eval()
    with torch.inference_mode():
        assert tower(torch.randn(1, 1, 32, 104)).isfinite().all()


def test_the_input_norm_is_what_the_input_enters() -> None:
    tower = Mvit("video", "S", "nonoverlap", 3, (4, 64, 64))
    assert tower.input_norm is tower.get_submodule("patch_embed.norm")


@pytest.mark.slow
def test_compiled_graph_has_no_breaks() -> None:
    tower = Mvit("audio", "S", "nonoverlap", 1, (32, 64)).eval()
    x = torch.randn(2, 1, 32, 64)
    with torch.inference_mode():
        expected = tower(x)
    torch._dynamo.reset()
    compiled = torch.compile(tower, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), expected, rtol=1e-4, atol=1e-5)
