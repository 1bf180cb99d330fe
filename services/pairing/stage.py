"""The stages that make tracks, clips, containers and rows out of stems and speech.

Each states the part of the settings that it reads, so that another threshold redoes rows and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.pairing.acceptance import pairs
from services.pairing.tracks import export, full_length, level, shots
from shared.pipeline.stage import EngineUse, Scope, Stage
from shared.settings.models import PairingSettings, Settings

QUEUE = "pairing"


def only(*names: str) -> Callable[[Settings], PairingSettings]:
    """The pairing settings with only these set and the rest at their defaults, whatever they are."""
    return lambda settings: PairingSettings(**{name: getattr(settings.pairing, name) for name in names})


def no_engines(settings: Settings, scope: Scope) -> Mapping[str, EngineUse]:
    return {}


def export_options(settings: Settings) -> export.ExportOptions:
    read = only("aac_bitrate", "export_mkv", "export_mp4")
    return export.ExportOptions(pairing=read(settings), limits=settings.limits)


def picture_options(settings: Settings) -> shots.PictureOptions:
    kept = only("min_shot_seconds", "max_shot_seconds")
    return shots.PictureOptions(pairing=kept(settings), limits=settings.limits)


LEVEL = Stage("level", 2, level.run, only("true_peak_dbtp"), no_engines, QUEUE)
TRACK = Stage("track", 3, full_length.run, only(), no_engines, QUEUE)
PICTURES = Stage("pictures", 2, shots.pictures, picture_options, no_engines, QUEUE)
SHOTS = Stage("shots", 2, shots.shots, only("aac_bitrate"), no_engines, QUEUE)
EXPORT = Stage("export", 4, export.run, export_options, no_engines, QUEUE)
PAIRS = Stage("pairs", 2, pairs.run, pairs.options, no_engines, QUEUE)
