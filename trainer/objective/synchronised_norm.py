"""Batch norms that see the batch of all processes, as the reference's SyncBatchNorm does."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainer.objective.gather import Gather


class SynchronisedBatchNorm(_BatchNorm):
    """A batch norm over all processes, on any device: torch's own knows CUDA alone.

    In training the statistics are those of the processes' batches together, and so are the gradients that go through
    them; otherwise it is a plain batch norm. Parameters and buffers, and their names, are those of the norm that it
    replaces.
    """

    def __init__(self, norm: _BatchNorm, gather: Gather) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.train(norm.training)
        self._gather = gather

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes behind ``[B, C]``."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input if input.dtype == torch.float64 else input.float()
        others = [axis for axis in range(x.ndim) if axis != 1]
        count = x.new_tensor([x.numel() // x.shape[1]])
        sums = self._gather.total(torch.cat([x.sum(others), count]))
        values = sums[-1].detach()
        mean = sums[:-1] / values
        centred = x - self._by_channel(mean, x)
        # From the mean of all processes: the difference of two large sums would lose digits.
        variance = self._gather.total(centred.square().sum(others)) / values
        self._track(mean.detach(), variance.detach(), values)
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        y = centred * self._by_channel(scale, x)
        if self.affine:
            y = y + self._by_channel(self.bias, x)
        return y.to(input.dtype)

    @staticmethod
    def _by_channel(values: Tensor, x: Tensor) -> Tensor:
        return values.view(1, -1, *[1] * (x.ndim - 2))

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, values: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((variance * values / (values - 1)).to(self.running_var.dtype), share)


def synchronise(model: nn.Module, gather: Gather, device: torch.device) -> None:
    """Replace every batch norm below ``model`` by one over all processes: torch's on CUDA, ours elsewhere.

    All processes must run the model in training mode equally often.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, synchronised(child, gather, device))


def synchronised(norm: _BatchNorm, gather: Gather, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        converted: nn.Module = convert(norm, gather.group)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return converted
    return SynchronisedBatchNorm(norm, gather)
