"""Several processes that train as one, as torchrun starts them; one alone needs none of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from shared.core.errors import UsageError

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others before it gives up: a slow disk is no reason, a dead process is."""


class ProcessGroup(NamedTuple):
    """Where this process stands among those that train together."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")
    control: Any = None
    """Group for small things on the CPU; None: alone."""

    @property
    def first(self) -> bool:
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process, the same answer in all of them."""
        if self.world == 1:
            return flag
        most = torch.tensor(int(flag))
        dist.all_reduce(most, dist.ReduceOp.MAX, group=self.control)
        return bool(most)

    def mean(self, values: Sequence[float]) -> list[float]:
        """Each value's mean over the processes."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, group=self.control)
        return (total / self.world).tolist()

    def gathered(self, value: Any) -> list[Any]:
        """Every process's value, of any size, in the order of ranks."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self.control)
        return values


@contextmanager
def joined(device: str) -> Iterator[ProcessGroup]:
    """Join the processes that torchrun started, if it did; leave them at the end.

    Args:
        device: ``auto`` (cuda where there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        UsageError: ``no_device``.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    here = select_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if world == 1:
        yield ProcessGroup(device=here)
        return
    if here.type == "cuda":
        torch.cuda.set_device(here)
    dist.init_process_group("nccl" if here.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        control = dist.new_group(backend="gloo", timeout=PATIENCE)
        yield ProcessGroup(dist.get_rank(), world, here, control)
    finally:
        dist.destroy_process_group()


def select_device(device: str, local: int) -> torch.device:
    """The device of this process; on several cards the one of its local rank.

    Raises:
        UsageError: ``no_device``.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        here = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"“{device}” is no device: auto, cpu, cuda or cuda:N.", code="no_device") from error
    if here.type == "cuda":
        number = local if here.index is None else here.index
        if number >= torch.cuda.device_count():
            raise UsageError(
                f"There is no CUDA device {number}; {torch.cuda.device_count()} are seen. Start fewer processes, or "
                "train with --set running.device=cpu.",
                code="no_device",
            )
        return torch.device("cuda", number)
    return here
