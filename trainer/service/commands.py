"""The commands that a training consists of. They run in its folder, so no path of the machine is told anywhere."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from shared.core.errors import EngineError
from shared.ledger.training_tables import Training
from shared.queue.service_settings import ServiceSettings
from trainer.service import recipe_orders
from trainer.service.folders import Folders

INITIAL = "initial.pt"
SHUTDOWN_S = 40
"""What torchrun gives its processes to save and end, before it kills them."""
COMPILERS = (os.environ.get("CC", "cc"), "gcc", "clang")
"""torch.compile needs one; images have none, and then a training is slower, not otherwise."""


def check_installed() -> None:
    """Say at once, not after the shards were made, that nothing can be trained here.

    Raises:
        EngineError: ``package_missing``.
    """
    if importlib.util.find_spec("torch") is None:
        raise EngineError(
            "The machine that trains has no torch. Install it with: pip install 'counterdub[trainer]'",
            code="package_missing",
            package="torch",
        )


def shards(folders: Folders) -> list[str]:
    return [*python("services.cli"), "shards", folders.pairs.name, "--to", folders.shards.name, "--json"]


def training(training: Training, folders: Folders, count: int) -> list[str]:
    """Command of torchrun with ``count`` processes.

    Args:
        training: Its recipe and the settings over it. ``initial``: the weights lie in the folder as :data:`INITIAL`.
    """
    overrides: dict[str, Any] = dict(training.overrides)
    if training.initial is not None:
        overrides["model"] = {**overrides.get("model", {}), "initial": INITIAL}
    if not any(map(shutil.which, COMPILERS)):
        overrides["running"] = {**overrides.get("running", {}), "compile": False}
    torchrun = ["--standalone", "--nproc-per-node", str(count), "--shutdown-timeout", str(SHUTDOWN_S)]
    options = ["--data", folders.shards.name, "--out", folders.run.name, "--json"]
    for override in recipe_orders.arguments(overrides):
        options += ["--set", override]
    return [*python("torch.distributed.run"), *torchrun, "-m", "services.cli", "train", training.recipe, *options]


def python(module: str) -> list[str]:
    return [sys.executable, "-P", "-m", module]


def processes(settings: ServiceSettings) -> int:
    """How many train together: as the operator says, else one a graphics card, else one."""
    return settings.trainer_processes or cards() or 1


def cards() -> int:
    """NVIDIA cards that a process of this machine sees. Asked of the system: torch stays out of the worker."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is not None:
        return len([name for name in seen.split(",") if name.strip() and name.strip() != "-1"])
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
