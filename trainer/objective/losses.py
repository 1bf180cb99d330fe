"""Contrastive losses of two sets of embeddings, row by row each other's positives.

Each loss has a form for one process's share: ``n`` rows of ``x`` against all ``N`` rows of ``y``, the positives of
which begin at row ``first``. The mean of that over the processes is the loss of the whole.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def infonce(x: Tensor, y: Tensor, temperature: float | Tensor, masked: Tensor | None = None) -> Tensor:
    """InfoNCE, the mean of both directions (CLIP, arXiv 2103.00020; NT-Xent's denominator with the positive in it).

    Args:
        x: ``[N, D]``, rows of length 1; any floating type, computed in fp32 or, if it is fp64, in fp64.
        y: ``[N, D]``; row i is the positive of ``x``'s row i, all others are its negatives.
        temperature: Similarities are divided by it; 0.07 in the paper.
        masked: bool ``[N, N]``, True where row i of ``x`` and row j of ``y`` are no negatives of one another. The
            diagonal is never masked, whatever it says.

    Returns:
        A scalar, natural logarithm. 0 where everything but the positives is masked.
    """
    flipped = None if masked is None else masked.T
    return (infonce_rows(x, y, temperature, masked) + infonce_rows(y, x, temperature, flipped)) / 2


def infonce_rows(
    x: Tensor, y: Tensor, temperature: float | Tensor, masked: Tensor | None = None, first: int = 0
) -> Tensor:
    """One direction: ``x [n, D]`` looks for its positives among ``y [N, D]``; ``masked [n, N]``."""
    x, y = exact(x), exact(y)
    with torch.autocast(x.device.type, enabled=False):
        logits = x @ y.T / temperature
        if masked is not None:
            logits = logits.masked_fill(masked & ~positives(len(x), len(y), first, x.device), -torch.inf)
        return functional.cross_entropy(logits, torch.arange(first, first + len(x), device=x.device))


def sigmoid(x: Tensor, y: Tensor, scale: float | Tensor, bias: float | Tensor, masked: Tensor | None = None) -> Tensor:
    """Pairwise sigmoid loss (SigLIP, arXiv 2303.15343): every pair is a yes or a no of its own.

    Args:
        x: As for :func:`infonce`.
        y: As for :func:`infonce`.
        scale: Factor of the similarities; SigLIP starts at 10.
        bias: Added to them; SigLIP starts at −10.
        masked: As for :func:`infonce`. The divisor stays N.
    """
    return sigmoid_rows(x, y, scale, bias, masked)


def sigmoid_rows(
    x: Tensor,
    y: Tensor,
    scale: float | Tensor,
    bias: float | Tensor,
    masked: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """The pairs of ``x [n, D]`` with all of ``y [N, D]``, divided by ``n``; ``masked [n, N]``."""
    x, y = exact(x), exact(y)
    with torch.autocast(x.device.type, enabled=False):
        belong = positives(len(x), len(y), first, x.device)
        logits = scale * (x @ y.T) + bias
        losses = -functional.logsigmoid(torch.where(belong, logits, -logits))
        if masked is not None:
            losses = losses.masked_fill(masked & ~belong, 0)
        return losses.sum() / len(x)


def exact(x: Tensor) -> Tensor:
    """fp32 at least: in half precision a similarity of 1 / 0.07 is off by more than 0.03."""
    return x if x.dtype == torch.float64 else x.float()


def positives(rows: int, columns: int, first: int, device: torch.device) -> Tensor:
    """Matrix ``[rows, columns]``, bool, True where column is ``first`` + row."""
    return torch.arange(first, first + rows, device=device)[:, None] == torch.arange(columns, device=device)
