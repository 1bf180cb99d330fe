"""Track: the full-length sound tracks and stems of a title at their final level.

Background and speech are brought to level and rounded to 24 bit one by one, and a track is the sum of the rounded
stems. So ``track − speech`` is the background to the last bit, the same in every synthetic track.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from services.pairing.tracks.chunks import in_order
from shared.audio.files import FULL_SCALE, FlacWriter, length
from shared.audio.lockstep import lockstep
from shared.audio.signal import from_decibels
from shared.core.errors import StorageError
from shared.core.records import Chunk, read_list
from shared.pipeline.stage import Scope, Work
from shared.schemas.digital_source import ENHANCED, mark, speech_source, track_source
from shared.schemas.layout import CONTROL, ORIG
from shared.schemas.quality import Gain
from shared.settings.models import PairingSettings

STEMS = "stems"
"""Value of ``scope.track`` that asks for the stems of the original instead of a track."""


def scale(steps: np.ndarray, gain: float) -> np.ndarray:
    """24-bit steps times ``gain``, rounded and kept inside full scale; int32."""
    return fit(np.rint(steps * gain).astype(np.int32))


def fit(steps: np.ndarray) -> np.ndarray:
    """The level leaves room for every sum; only a ceiling of 0 dBTP can round one step past full scale."""
    fitting: np.ndarray = np.clip(steps, -FULL_SCALE, FULL_SCALE - 1)
    return fitting


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: PairingSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """What ``scope.track`` names, at the title's level.

    ``orig``: ``master.flac`` → ``track.flac``. ``stems``: ``background/NNNN``, ``vocals/NNNN`` → ``background.flac``,
    ``vocals.flac``. Else: ``background/NNNN``, ``speech/NNNN`` → ``track.flac``, ``speech.flac``. All need
    ``gain.json`` and ``chunks.json``.

    Raises:
        StorageError: ``length_mismatch`` when a chunk is not as long as ``chunks.json`` says.
    """
    gain = from_decibels(Gain.model_validate_json(inputs["gain.json"].read_text(encoding="utf-8")).gain_db)
    chunks = read_list(inputs["chunks.json"], Chunk)
    samples = chunks[-1].end
    if scope.track == ORIG:
        sources = [[inputs["master.flac"]]]
        check_lengths([samples], sources)
        names = ["track.flac"]
    else:
        second = "vocals" if scope.track == STEMS else "speech"
        sources = [list(pair) for pair in zip(in_order(inputs, "background"), in_order(inputs, second), strict=True)]
        check_lengths([chunk.end - chunk.start for chunk in chunks], sources)
        names = ["background.flac", "vocals.flac"] if scope.track == STEMS else ["track.flac", "speech.flac"]

    outputs = {name: work.path(name) for name in names}
    _, channels = length(sources[0][0])
    with ExitStack() as stack:
        writers = [
            stack.enter_context(FlacWriter(path, channels, comment=comment_of(name, scope.track)))
            for name, path in outputs.items()
        ]
        for files in sources:
            for _, blocks in lockstep(files):
                levelled = [scale(block, gain) for block in blocks]
                if scope.track not in {ORIG, STEMS}:
                    background, speech = levelled
                    levelled = [fit(background + speech), speech]
                for writer, block in zip(writers, levelled, strict=True):
                    writer.write(block)
                work.progress(writers[0].samples / samples)
    return outputs


def comment_of(name: str, track: str | None) -> str | None:
    """What a FLAC says of how it was made; None for the original."""
    of_track = speech_source if name == "speech.flac" else track_source
    source = ENHANCED if track == STEMS else of_track(str(track))
    return mark(source, () if track in (STEMS, CONTROL) else (str(track),)).get("comment")


def check_lengths(expected: Sequence[int], sources: Sequence[Sequence[Path]]) -> None:
    """Every file of part ``n`` must have ``expected[n]`` samples."""
    lengths = [length(files[0])[0] for files in sources]
    if lengths != list(expected):
        raise StorageError(
            f"The parts of a track are {lengths} samples long instead of {list(expected)}. "
            "Run the title again with --fresh.",
            code="length_mismatch",
        )
