"""Parity: our towers, front end and losses beside numbers that public implementations gave.

A parity folder holds cases (``.json``, with arrays in the ``.npz`` beside it) but no code and no trained weights: all
weights and inputs come from rules (:mod:`trainer.parity.rules`), so that any implementation can be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from shared.core.errors import InputError
from trainer.parity import frontend, loss, towers
from trainer.parity.case import Case, ParityCheck, read_case

__all__ = ["Case", "ParityCheck", "check", "find"]

Examine = Callable[[Case, Mapping[str, Any], Mapping[str, np.ndarray]], None]

EXAMINERS: dict[str, Examine] = {
    "audio_frontend/mel": frontend.mel,
    "video_frontend/tables": frontend.tables,
    "video_frontend/pixels": frontend.pixels,
    "loss/loss": loss.loss,
    "convnets/acoustic_resnet50_*": towers.acoustic_resnet,
    "convnets/x3d_m": towers.x3d,
    "mvit/mvit_*": towers.mvit,
}
"""What a case's folder and name say that it is, quick ones first."""


def find(folder: Path, only: str = "*") -> list[Path]:
    """The cases of a parity folder, quick ones first; ``only`` is a pattern of ``folder/name``.

    Raises:
        InputError: ``no_parity``: there is none.
    """
    cases = [path for kind in EXAMINERS for path in sorted(folder.glob(f"{kind}.json")) if fnmatch(name(path), only)]
    if not cases:
        raise InputError(
            "There is no parity case here: name a folder that holds mvit, convnets, audio_frontend, video_frontend "
            "or loss.",
            code="no_parity",
        )
    return cases


def check(paths: list[Path]) -> Iterator[Case]:
    """Examine cases one after another; they take up to a minute each.

    Raises:
        InputError: ``bad_parity``: a case cannot be read, or lacks what it should state.
    """
    for path in paths:
        case = Case(name(path))
        stated, arrays = read_case(path)
        examine = next(examiner for kind, examiner in EXAMINERS.items() if fnmatch(case.name, kind))
        try:
            examine(case, stated, arrays)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"The parity case “{case.name}” does not have the known format: {error}.", code="bad_parity"
            ) from error
        yield case


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"
