"""Batch norms at a model's input, given the statistics of a whole batch while it is encoded in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from shared.core.errors import UsageError
from trainer.objective.gather import Gather

Part = Mapping[str, Tensor]
"""Some shots of a batch: tensors ``[b, …]`` by name, ``shot`` among them."""


class BatchStatistics(NamedTuple):
    """Of each channel, ``[C]`` in fp64."""

    mean: Tensor
    variance: Tensor
    """Biased, as batch norm normalises with."""
    values: Tensor
    """How many there are, a scalar."""


def of_whole_batch(
    norms: Callable[[Part], Mapping[nn.Module, Tensor]], parts: Sequence[Part], gather: Gather
) -> dict[_BatchNorm, BatchStatistics]:
    """What each training input norm sees in all parts of all processes, as SyncBatchNorm would."""
    sums: dict[_BatchNorm, Tensor] = {}
    with torch.no_grad():
        for part in parts:
            for norm, values in norms(part).items():
                if not isinstance(norm, _BatchNorm) or not norm.training:
                    continue
                others = [axis for axis in range(values.ndim) if axis != 1]
                count = values.numel() // values.shape[1]
                variance, mean = (x.double() for x in torch.var_mean(values.float(), others, correction=0))
                added = torch.stack([torch.ones_like(mean), mean, variance + mean.square()]) * count
                sums[norm] = sums[norm] + added if norm in sums else added
    for total in sums.values():
        if gather.world > 1:
            dist.all_reduce(total, group=gather.group)
    return {norm: from_sums(total) for norm, total in sums.items()}


def from_sums(total: Tensor) -> BatchStatistics:
    count, first, second = total
    mean = first / count
    return BatchStatistics(mean, (second / count - mean.square()).clamp(min=0), count[0])


@contextmanager
def frozen(norm: _BatchNorm, batch: BatchStatistics) -> Iterator[None]:
    """Inside, ``norm`` normalises by ``batch``; on a normal way out its moving averages take one step to it."""
    mean, variance, tracked = norm.running_mean, norm.running_var, norm.num_batches_tracked
    assert mean is not None and variance is not None and tracked is not None
    before = mean.clone(), variance.clone()
    mean.copy_(batch.mean)
    variance.copy_(batch.variance)
    norm.eval()
    try:
        yield
    finally:
        norm.train()
        mean.copy_(before[0])
        variance.copy_(before[1])
    tracked.add_(1)
    share = 1 / tracked.item() if norm.momentum is None else norm.momentum
    mean.lerp_(batch.mean.to(mean.dtype), share)
    variance.lerp_((batch.variance * batch.values / (batch.values - 1)).to(variance.dtype), share)


def refuse_other_norms(model: nn.Module, known: set[_BatchNorm]) -> None:
    """A batch norm deeper in the model would see the statistics of a part alone, and the gradient would be another's.

    Raises:
        UsageError: ``chunked_batch_norm``, naming it.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.training and module not in known:
            raise UsageError(
                f"The model has a batch norm ({name}) that needs the whole batch at once: "
                "set objective.chunk=0, or choose towers without one, such as mvit or tiny.",
                code="chunked_batch_norm",
                norm=name,
            )
