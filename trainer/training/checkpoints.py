"""Checkpoints: one file each, whole or not there, the newest few kept.

``step-00000500.pt`` is what ``torch.save`` writes of a dict of plain values and tensors, so ``torch.load`` reads it
with ``weights_only``:

    format     1
    step       steps done
    recipe     the whole recipe, nested tables
    model      state dict of :class:`trainer.model.Model`
    ema        the same, moving average of the weights, or None
    objective  state dict of the objective (temperature, bias)
    optimiser  state dict of AdamW, by parameter name
    averaged   steps in the moving average
    processes  one dict a process: random states and the feed's
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from shared.core.errors import InputError
from shared.core.storage_errors import storage_error

FORMAT = 1
LAST = "last"
"""File beside the checkpoints that holds the name of the newest."""


def save(folder: Path, state: dict[str, Any], keep: int) -> Path:
    """Write a checkpoint, point ``last`` at it, remove all but the newest ``keep``.

    Raises:
        StorageError: ``disk_full``, ``not_writable`` or ``io_error``; the checkpoints there were are still there.
    """
    path = folder / name_of(state["step"])
    whole = {"format": FORMAT, **state}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace(path, lambda file: torch.save(whole, file))
        replace(folder / LAST, lambda file: file.write(path.name.encode()))
        for old in steps(folder)[keep:]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, "the folder of checkpoints") from error
    return path


def name_of(step: int) -> str:
    return f"step-{step:08d}.pt"


def step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def steps(folder: Path) -> list[Path]:
    """Checkpoints of a folder, newest first."""
    return sorted(folder.glob("step-????????.pt"), reverse=True)


def replace(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write under another name, to the disk, then rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            try:
                write(file)
            except RuntimeError as error:  # torch's writer stumbles over its own end and hides why
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from error
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def load(path: Path) -> dict[str, Any]:
    """A checkpoint of ours, on the CPU.

    Raises:
        InputError: ``not_a_checkpoint`` (another kind of file), ``checkpoint_damaged`` (cut off, or bytes changed).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # torch reads on over changed bytes
        if broken is None:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise damaged(path) from error
    except Exception as error:  # what unpickling raises for things that it refuses
        raise strange(path) from error
    if broken is not None:
        raise damaged(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise strange(path)
    return state


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that is whole; None where there is none at all.

    Raises:
        InputError: ``checkpoint_damaged``: there are some, but none is whole.
    """
    error: InputError | None = None
    for path in steps(folder):
        try:
            return load(path)
        except InputError as found:
            error = error or found
    if error is not None:
        raise error
    return None


def damaged(path: Path) -> InputError:
    return InputError(
        f"The checkpoint “{path.name}” is damaged or cut off. Use an earlier one.", code="checkpoint_damaged"
    )


def strange(path: Path) -> InputError:
    return InputError(f"“{path.name}” is no checkpoint that counterdub train wrote.", code="not_a_checkpoint")
