"""Metrics of a run: JSON lines, and the same for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from shared.core.storage_errors import storage_errors
from trainer.training import checkpoints


class Metrics:
    """Appends lines. Going on from a step, what an earlier process wrote after it is taken back first."""

    def __init__(self, path: Path, events: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        kept = [line for line in read_metrics(path) if line["step"] <= step] if step else []
        text = "".join(json.dumps(line) + "\n" for line in kept)
        with storage_errors("the metrics"):
            checkpoints.replace(path, lambda file: file.write(text.encode()))
            self.file = path.open("a", encoding="utf-8")
            self.board = SummaryWriter(events, purge_step=step + 1 if step else None)

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        self.board.close()

    def add(self, line: Mapping[str, Any]) -> None:
        """One line; numbers go to TensorBoard under their keys. It is on its way to the disk when this returns."""
        with storage_errors("the metrics"):
            self.file.write(json.dumps(line, allow_nan=False) + "\n")
            self.file.flush()
            for name, value in line.items():
                if isinstance(value, int | float) and name != "step":
                    self.board.add_scalar(name, value, line["step"])


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a run's metrics; a last one that was cut off is left out, and so is a file that is not there."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
