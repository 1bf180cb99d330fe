"""Several sound files of one shape read side by side, in whole 24-bit steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile as sf

from shared.core.errors import StorageError
from shared.core.records import SAMPLE_RATE


def lockstep(paths: Sequence[Path], size: int = 10 * SAMPLE_RATE) -> Iterator[tuple[int, list[np.ndarray]]]:
    """``(start, [int32 [channels, ≤ size] of each file])`` over their whole length; 1.0 is 2²³ steps.

    Raises:
        StorageError: ``length_mismatch`` when they differ in length or channels.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(sf.SoundFile(str(path))) for path in paths]
        shapes = sorted({(file.frames, file.channels) for file in files})
        if len(shapes) != 1:
            sizes = ", ".join(f"{frames} samples × {channels}" for frames, channels in shapes)
            raise StorageError(
                f"Sound files of one title differ in shape ({sizes}). Run the title again with --fresh.",
                code="length_mismatch",
            )
        for start in range(0, shapes[0][0], size):
            yield start, [file.read(size, dtype="int32", always_2d=True).T >> 8 for file in files]
