"""What a training tells in its metrics file, carried into the database and to whoever listens."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.core.errors import CounterdubError
from shared.queue.training_notes import MetricPoint

log = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
ALOUD_EVERY_S = 2.0
ALOUD_SHARE = 1 / 300
"""Of the time so far: an event as often as this, so that a training of a week has no more than thousands."""
CHUNK_BYTES = 2**22
AT_ONCE = 1000


class Follower:
    """Reads the lines as they come and hands them on, a few at a time.

    Args:
        run: Folder of the run: ``metrics.jsonl``, which is another file after the training went on from an earlier
            step, and ``state.json``.
        write: Takes points, the finished share (0–1), and whether to tell of them.
    """

    def __init__(self, run: Path, write: Callable[[Sequence[MetricPoint], float, bool], None]) -> None:
        self._run = run
        self._path = run / "metrics.jsonl"
        self._write = write
        self._file, self._reached = 0, 0
        """Which file, and how far it was read."""
        self._pending: list[MetricPoint] = []
        self._share = 0.0
        self._began = time.monotonic()
        self._written = self._aloud = 0.0

    def look(self, *, last: bool = False) -> None:
        """Take what is new. A database that is away is tried again with the next look.

        Args:
            last: Write now, whenever it was done before.
        """
        moment = time.monotonic()
        if not last and moment - self._written < WRITE_EVERY_S:
            return
        while lines := self._new_lines():
            self._pending += [point for point in map(point_of, lines) if point is not None]
        steps = steps_of(self._run / "state.json") if self._pending else 0
        while self._pending:
            some = self._pending[:AT_ONCE]
            self._share = min(1.0, some[-1].step / steps) if steps else self._share
            loud = moment - self._aloud >= max(ALOUD_EVERY_S, ALOUD_SHARE * (moment - self._began))
            loud = loud or last or any(point.kind == "validation" for point in some)
            try:
                self._write(some, self._share, loud)
            except CounterdubError as error:
                if not error.retryable:
                    raise
                log.warning("metrics are late: %s", error.code)
                return
            del self._pending[: len(some)]
            self._written = moment
            self._aloud = moment if loud else self._aloud

    def _new_lines(self) -> list[bytes]:
        """Whole lines behind those that were read."""
        try:
            with self._path.open("rb") as file:
                if (number := os.fstat(file.fileno()).st_ino) != self._file:
                    self._file, self._reached = number, 0
                file.seek(self._reached)
                whole = file.read(CHUNK_BYTES).rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        self._reached += len(whole) + bool(whole)
        return whole.split(b"\n") if whole else []


def point_of(line: bytes) -> MetricPoint | None:
    """A line as a point; None for one that is none (a machine may have lost power while it was written)."""
    try:
        values = json.loads(line)
        step = int(values["step"])
    except (ValueError, KeyError, TypeError):
        log.warning("a line of metrics cannot be read")
        return None
    kind = "validation" if "held_out" in values else "train"
    return MetricPoint(step, kind, {name: finite(value) for name, value in values.items()})


def finite(value: Any) -> Any:
    """What JSON can say: it knows no infinite numbers and no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list) else value


def steps_of(state: Path) -> int:
    """Steps that the whole training takes; 0 while nobody knows."""
    try:
        return int(json.loads(state.read_bytes())["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
