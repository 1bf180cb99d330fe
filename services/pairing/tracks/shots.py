"""Shots: every kept shot with every track as an mp4. The picture is encoded once and shared by all tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from shared.audio.files import read_audio
from shared.core.records import SAMPLE_RATE, Probe, Shot, read_list
from shared.media.muxing import mux
from shared.media.picture import encode_picture
from shared.pipeline.planner import keeps
from shared.pipeline.stage import Scope, Work
from shared.schemas.digital_source import mark, track_source
from shared.schemas.layout import CONTROL, track_language
from shared.settings.models import LimitSettings, PairingSettings, Section

Item = TypeVar("Item")


class PictureOptions(Section):
    """What pictures depend on."""

    pairing: PairingSettings
    limits: LimitSettings


def pictures(
    scope: Scope, inputs: Mapping[str, Path], settings: PictureOptions, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``source``, ``probe.json``, ``shots.json`` → ``0003.mp4`` without sound for every kept shot, in one pass."""
    probe = Probe.model_validate_json(inputs["probe.json"].read_text(encoding="utf-8"))
    kept = [shot for shot in read_list(inputs["shots.json"], Shot) if keeps(shot, settings.pairing)]
    folder = work.path("pictures")
    folder.mkdir()
    made = encode_picture(inputs["source"], probe, kept, folder, settings.limits, work.progress)
    return {path.name: path for path in made.values()}


def shots(
    scope: Scope, inputs: Mapping[str, Path], settings: PairingSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``pictures/0003.mp4`` …, ``track.flac``, ``shots.json`` → ``0003.mp4`` … with the sound of ``scope.track``."""
    assert scope.track is not None
    language = track_language(scope.track, scope.extra.get("source_language"))
    pictured = {int(Path(name).stem): path for name, path in inputs.items() if name.startswith("pictures/")}
    wanted = [shot for shot in read_list(inputs["shots.json"], Shot) if shot.index in pictured]
    tags = mark(track_source(scope.track), () if scope.track == CONTROL else (scope.track,))
    outputs = {}
    for done, shot in enumerate(wanted):
        work.progress(done / len(wanted))
        sound = read_audio(inputs["track.flac"], round(shot.start * SAMPLE_RATE), round(shot.end * SAMPLE_RATE))
        name = f"{shot.index:04}.mp4"
        outputs[name] = work.path(name)
        mux(pictured[shot.index], sound, outputs[name], language, settings.aac_bitrate, tags)
    return outputs


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` of the items, evenly spread from the first on."""
    if count >= len(items):
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]
