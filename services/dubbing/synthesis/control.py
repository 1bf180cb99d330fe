"""The control: the original speech sent the way of a dub, so that the way itself tells nobody which track is a dub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from services.dubbing.post_processing import add, finish
from services.dubbing.synthesis.chunk_inputs import load
from services.dubbing.synthesis.chunk_lines import blank
from shared.audio import files
from shared.audio.signal import to_mono
from shared.core.records import SAMPLE_RATE, write_jsonl
from shared.pipeline.stage import Scope, Work
from shared.settings.models import DubbingSettings


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: DubbingSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """Mono and panning, bandwidth, loudness, fades and placement of a dub, applied to the gated vocals line by line.

    Where lines overlap, the vocals hold both voices: the common part goes with the earlier line, once.
    """
    chunk = load(scope, inputs)
    track = np.zeros_like(chunk.vocals)
    records = []
    free_from = chunk.chunk.start / SAMPLE_RATE
    for number, line in enumerate(chunk.lines):
        work.progress(number / len(chunk.lines))
        record = blank(line, line.language, None)
        record.text = line.text
        start, end = max(line.start, free_from), min(line.end, chunk.end)
        if line.status == "dropped":
            record.status, record.reason = "dropped", line.reason or "dropped"
        elif end > start:
            original = chunk.cut(start, end)
            done = finish(to_mono(original), original, settings.bandwidth_hz)
            add(track, done.audio, chunk.sample(start))
            free_from = end
            record.start, record.end = start, start + done.audio.shape[1] / SAMPLE_RATE
            record.fit_ratio = record.stretch = record.speed = 1.0
            record.loudness_lufs, record.source_loudness_lufs = done.loudness, done.source_loudness
            if done.loudness is not None and done.source_loudness is not None:
                record.loudness_difference_lu = done.loudness - done.source_loudness
        records.append(record)
    return {
        "speech.flac": files.write(work.path("speech.flac"), track),
        "dubbed.jsonl": write_jsonl(work.path("dubbed.jsonl"), records),
    }
