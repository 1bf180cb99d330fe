"""Level: one static gain for the whole title, so that no track is limited differently from another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from services.pairing.tracks.chunks import in_order, tracks_of
from services.pairing.tracks.truepeak import TruePeak
from shared.audio.files import FULL_SCALE, length
from shared.audio.lockstep import lockstep
from shared.pipeline.stage import Scope, Work
from shared.schemas.layout import ORIG
from shared.schemas.quality import Gain, Level
from shared.settings.models import PairingSettings


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: PairingSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``master.flac``, ``background/NNNN``, ``speech/<track>/NNNN`` → ``level.json``, ``gain.json``.

    The gain lies in a file of its own: tracks depend on it alone, so a line spoken anew in one language, which changes
    that language's peak, does not make the other tracks be written again.
    """
    tracks = tracks_of(inputs, "speech")
    master = inputs["master.flac"]
    samples, channels = length(master)
    meters = {track: TruePeak(channels) for track in (ORIG, *tracks)}
    # The master costs about as much as one background and its speech.
    whole, done = samples * 2, 0

    for start, (block,) in lockstep([master]):
        meters[ORIG].add(block / np.float32(FULL_SCALE))
        work.progress((start + block.shape[1]) / whole)
    parts = [in_order(inputs, "background"), *(in_order(inputs, f"speech/{track}") for track in tracks)]
    for files in zip(*parts, strict=True):
        for _, (background, *spoken) in lockstep(files):
            for track, speech in zip(tracks, spoken, strict=True):
                meters[track].add((background + speech) / np.float32(FULL_SCALE))
            done += background.shape[1]
            work.progress(0.5 + done / whole)

    peaks = {track: meter.dbtp for track, meter in meters.items()}
    gain = min(0.0, settings.true_peak_dbtp - max(peaks.values()))
    out = work.path("level.json")
    level = Level(gain_db=gain, ceiling_dbtp=settings.true_peak_dbtp, true_peak_dbtp=peaks)
    out.write_text(level.model_dump_json(indent=2), encoding="utf-8")
    alone = work.path("gain.json")
    alone.write_text(Gain(gain_db=gain).model_dump_json(), encoding="utf-8")
    return {"level.json": out, "gain.json": alone}
