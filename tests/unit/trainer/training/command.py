"""``counterdub train`` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.unit.trainer.training.feeds import SMALL
from trainer.training.metrics import read_metrics


def started(out: Path, data: Path, *options: str, recipe: str = "tiny-en", processes: int = 1) -> subprocess.Popen[str]:
    """Begin a training as a user would; with several processes by torchrun."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    program: Sequence[str] = ["-m", "services.cli"]
    settings = [part for value in (*SMALL, *options) for part in ("--set", value)]
    return subprocess.Popen(
        [
            sys.executable, *(launcher if processes > 1 else []), *program,
            "train", recipe, "--data", str(data), "--out", str(out), "--json", *settings,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def wait_for_step(out: Path, step: int, process: subprocess.Popen[str], seconds: float = 600) -> None:
    """Until the run's metrics have reached a step."""
    end = time.monotonic() + seconds
    while not any(line["step"] >= step for line in read_metrics(out / "metrics.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the training is too slow"
        time.sleep(0.02)
