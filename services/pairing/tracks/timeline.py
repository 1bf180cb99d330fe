"""Finding what lies inside a shot without walking the whole title for each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Generic, TypeVar

from shared.quality.spans import Times, clip, union

Item = TypeVar("Item")


class ShotTimeline(Generic[Item]):
    """Items with a start and an end, in order of start."""

    def __init__(self, items: Iterable[tuple[float, float, Item]]) -> None:
        self._items = sorted(items, key=lambda item: item[:2])
        self._starts = [start for start, _, _ in self._items]
        self._longest = max((end - start for start, end, _ in self._items), default=0.0)

    def within(self, start: float, end: float, least: float = 0.0) -> list[Item]:
        """Items that share more than ``least`` seconds with ``[start, end]``."""
        low, high = bisect_left(self._starts, start - self._longest), bisect_left(self._starts, end)
        return [item for a, b, item in self._items[low:high] if min(b, end) - max(a, start) > least]


class Activity:
    """When a track speaks."""

    def __init__(self, spans: Iterable[tuple[float, float]]) -> None:
        self.spans: Times = union(spans)
        self._timeline = ShotTimeline((start, end, (start, end)) for start, end in self.spans)

    def within(self, start: float, end: float) -> Times:
        """Disjoint spans inside ``[start, end]``, cut at its ends."""
        return clip(self._timeline.within(start, end), start, end)
