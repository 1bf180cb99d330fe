"""SUBTITLES: the subtitle streams of a video with their texts, for titles whose own subtitles are to be used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.core.records import Probe, read_json
from shared.media.subtitle_streams import read_subtitle_streams
from shared.pipeline.stage import Scope, Stage, Work
from shared.settings.models import LimitSettings


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: LimitSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``source``, ``probe.json`` → ``subtitles.json``, a list of ``SubtitleStream``."""
    probe = Probe.model_validate(read_json(inputs["probe.json"]))
    streams = read_subtitle_streams(inputs["source"], probe, settings, work.progress)
    work.count("subtitle_streams", len(streams))
    path = work.path("subtitles.json")
    path.write_text(json.dumps([stream.model_dump() for stream in streams], ensure_ascii=False), encoding="utf-8")
    return {"subtitles.json": path}


STAGE = Stage("subtitles", 1, run, lambda settings: settings.limits, lambda settings, scope: {}, "ingest")
