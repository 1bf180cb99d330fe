"""Embeddings of all processes, with the gradient that belongs to them.

A plain ``all_gather`` cuts the gradient: what a process's embeddings do as negatives of the others is lost. Here the
backward pass adds up what all processes' losses say about them. Averaged over the processes, as DistributedDataParallel
does, the gradient is that of one process with the whole batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


class Gather(NamedTuple):
    """Where this process stands among those that train together; alone by default.

    All processes must give tensors of the same shape, in the same order of calls.
    """

    rank: int = 0
    world: int = 1
    group: Any = None
    """Process group; None: the default one."""

    @classmethod
    def here(cls) -> Gather:
        """The default process group's, or alone where there is none."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    def __call__(self, x: Tensor) -> Tensor:
        """``[B, …]`` of each process → ``[world · B, …]``, in the order of ranks, differentiable."""
        if self.world == 1:
            return x
        return apply(GatherWithGradient, x, self)

    def shared(self, x: Tensor) -> Tensor:
        """``x`` itself, equal in all processes; its gradient becomes the mean of theirs."""
        if self.world == 1:
            return x
        return apply(MeanGradient, x, self)

    def total(self, x: Tensor) -> Tensor:
        """The sum of every process's ``x``, differentiable: what all processes make of it comes back to each."""
        if self.world == 1:
            return x
        return apply(SumWithGradient, x, self)


ALONE = Gather()


def apply(function: type[torch.autograd.Function], x: Tensor, gather: Gather) -> Tensor:
    gathered: Tensor = function.apply(x, gather)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return gathered


class GatherWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gather: Gather) -> Tensor:
        ctx.gather, ctx.count = gather, len(x)
        out = x.new_empty((gather.world * len(x), *x.shape[1:]))
        dist.all_gather(list(out.chunk(gather.world)), x.contiguous(), group=gather.group)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # A reduce-scatter would do, but gloo's is not everywhere; embeddings are small beside the model's gradients.
        total = gradient.contiguous().clone()
        dist.all_reduce(total, group=ctx.gather.group)
        first = ctx.gather.rank * ctx.count
        return total[first : first + ctx.count], None


class MeanGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gather: Gather) -> Tensor:
        ctx.gather = gather
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone()
        dist.all_reduce(total, group=ctx.gather.group)
        return total / ctx.gather.world, None


class SumWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gather: Gather) -> Tensor:
        ctx.gather = gather
        total = x.detach().clone()
        dist.all_reduce(total, group=gather.group)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.contiguous().clone()
        dist.all_reduce(total, group=ctx.gather.group)
        return total, None
