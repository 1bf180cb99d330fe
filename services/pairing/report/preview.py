"""Preview: what the report shows and plays of one track, some shots of it, ready to be put into a page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.pairing.report.sound import mp3, peaks
from services.pairing.report.spectrogram import webp
from services.pairing.stage import QUEUE, no_engines
from services.pairing.tracks.shots import spread
from shared.audio.files import read_audio
from shared.core.records import SAMPLE_RATE, SCHEMA_VERSION, Shot, read_list
from shared.pipeline.planner import keeps
from shared.pipeline.stage import Scope, Stage, Work
from shared.settings.models import PairingSettings, Section, Settings


class PreviewOptions(Section):
    """What previews depend on."""

    pairing: PairingSettings
    max_shots: int
    width: int
    height: int
    bitrate: int


def options(settings: Settings) -> PreviewOptions:
    kept = {name: getattr(settings.pairing, name) for name in ("min_shot_seconds", "max_shot_seconds")}
    report = settings.report
    return PreviewOptions(
        pairing=PairingSettings(**kept),
        max_shots=report.max_shots_per_title,
        width=report.spectrogram_width,
        height=report.spectrogram_height,
        bitrate=report.preview_bitrate,
    )


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: PreviewOptions, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``shots.json``, ``track.flac`` → ``preview.json``: ``shots`` → index → ``spectrogram``, ``audio``, ``peaks``.

    Pictures (WebP) and sound (MP3, channels averaged) are ``data:`` URLs. Only shots that may become pairs are shown,
    at most ``max_shots`` of them, the same ones for every track. One shot is in memory at a time.
    """
    kept = [shot for shot in read_list(inputs["shots.json"], Shot) if keeps(shot, settings.pairing)]
    chosen = spread(kept, settings.max_shots)
    shown = {}
    for done, shot in enumerate(chosen):
        work.progress(done / len(chosen))
        sound = read_audio(inputs["track.flac"], round(shot.start * SAMPLE_RATE), round(shot.end * SAMPLE_RATE))
        mono = sound.mean(axis=0)
        if not mono.size:
            continue
        shown[str(shot.index)] = {
            "spectrogram": data_url("image/webp", webp(mono, settings.width, settings.height)),
            "audio": data_url("audio/mpeg", mp3(mono, settings.bitrate)),
            "peaks": peaks(mono),
        }
    out = work.path("preview.json")
    facts = {"schema_version": SCHEMA_VERSION, "width": settings.width, "height": settings.height}
    out.write_text(json.dumps({**facts, "shots": shown}), encoding="utf-8")
    return {"preview.json": out}


def data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


STAGE = Stage("preview", 2, run, options, no_engines, QUEUE)
