"""How fast a training runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from shared.core.errors import CounterdubError
from trainer.feed import Batch


@contextmanager
def arithmetic(threads: int) -> Iterator[None]:
    """Subnormal numbers count as zero, which they are for training, and slow for a CPU.

    Afterwards the caller's own arithmetic is as it was.

    Args:
        threads: Of torch; 0: as many as it takes.
    """
    flushed = torch.full((64,), torch.finfo(torch.float32).tiny).div(2).max().item() == 0
    before = torch.get_num_threads()
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(before)


class Speed:
    """Clips a second and the share of the time that was waiting for data, since the last line.

    Args:
        stop: Set when the training was asked to stop.
    """

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.began, self.clips, self.waited = time.perf_counter(), 0, 0.0

    def waiting(self, batches: Iterator[Batch]) -> Batch | None:
        """The next batch; None when there is none, or none any more because the feed was stopped too."""
        began = time.perf_counter()
        try:
            return next(batches, None)
        except CounterdubError:
            if self.stop.is_set():  # a signal to the whole group ends what a feed is made of as well
                return None
            raise
        finally:
            self.waited += time.perf_counter() - began

    def count(self, clips: int) -> None:
        self.clips += clips

    def taken(self, world: int) -> dict[str, float]:
        took = max(1e-9, time.perf_counter() - self.began)
        figures = {"clips_per_s": round(world * self.clips / took, 2), "data_wait": round(self.waited / took, 4)}
        self.began, self.clips, self.waited = time.perf_counter(), 0, 0.0
        return figures
