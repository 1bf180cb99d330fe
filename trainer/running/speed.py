"""How fast a training runs."""

from __future__ import annotations

import time
from collections.abc import Iterator

from trainer.feed import Batch


class Speed:
    """Clips a second and the share of the time that was waiting for data, since the last line."""

    def __init__(self) -> None:
        self.began, self.clips, self.waited = time.perf_counter(), 0, 0.0

    def waiting(self, batches: Iterator[Batch]) -> Batch | None:
        asked_at = time.perf_counter()
        batch = next(batches, None)
        self.waited += time.perf_counter() - asked_at
        return batch

    def count(self, clips: int) -> None:
        self.clips += clips

    def taken(self, world: int) -> dict[str, float]:
        took = max(1e-9, time.perf_counter() - self.began)
        found = {"clips_per_s": round(world * self.clips / took, 2), "data_wait": round(self.waited / took, 4)}
        self.began, self.clips, self.waited = time.perf_counter(), 0, 0.0
        return found
